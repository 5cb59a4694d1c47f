"""Install and configure HashiCorp products from archives of the operator's cache."""

from pyinfra import host
from pyinfra.api import deploy
from pyinfra.api.operation import OperationMeta
from pyinfra.facts.files import File
from pyinfra.operations import apt, files, server, systemd

from olrunbook.artifacts.cache import Artifact

# The product's own configuration directory, and the file written there.
CONFIGURATION = {
    "vault": ("/etc/vault", "vault.json"),
    "consul": ("/etc/consul.d", "00-default.json"),
}


@deploy("Install Hashicorp Products")
def install_hashicorp_products(products: list[Artifact]) -> list[OperationMeta]:
    """Install each product's binary, with its user and directories."""
    done = [apt.packages(name="Ensure unzip is installed", packages=["unzip"])]
    for product in products:
        name, folder = product.name, f"/opt/{product.name}/{product.version}"
        archive = f"/var/tmp/{product.path.name}"  # noqa: S108  (on the image, by root)
        server.user(  # noqa: S604  (a login shell)
            name=f"Create system user for {name}",
            user=name,
            system=True,
            shell="/bin/false",
            create_home=False,
            ensure_home=False,
        )
        # The archive is removed below; a checksum beside the binary says what it is.
        note = host.get_fact(File, path=f"{folder}/{product.sha256}")
        missing = {"_if": lambda note=note: not note}
        files.put(
            name=f"Put the {name} archive",
            src=str(product.path),
            dest=archive,
            mode="600",
            **missing,
        )
        server.shell(
            name=f"Verify the {name} archive's checksum",
            commands=[
                f"echo '{product.sha256}  {archive}' | sha256sum --check --quiet"
            ],
            **missing,
        )
        unzipped = server.shell(
            name=f"Unzip {name}",
            commands=[
                f"mkdir -p {folder}",
                f"unzip -q -o {archive} -d {folder}",
                f"chmod 755 {folder}/{name}",
                f"touch {folder}/{product.sha256}",
                f"rm {archive}",
            ],
            **missing,
        )
        files.link(
            name=f"Link the {name} binary",
            path=f"/usr/local/bin/{name}",
            target=f"{folder}/{name}",
        )
        files.directory(
            name=f"Ensure configuration directory for {name}",
            path=CONFIGURATION[name][0],
            user=name,
            group=name,
            mode="750",
        )
        files.directory(
            name=f"Create data directory for {name}",
            path=f"/var/lib/{name}",
            user=name,
            group=name,
            mode="700",
        )
        done.append(unzipped)
    return done


@deploy("Configure Hashicorp Products")
def configure_hashicorp_products(
    products: list[Artifact], role: str
) -> list[OperationMeta]:
    """Write each product's configuration and unit.

    Args:
        products: What was installed.
        role: Vault's role for the AWS login of instances from this image.

    """
    done = []
    for product in products:
        name = product.name
        folder, file = CONFIGURATION[name]
        settings = files.template(
            name=f"Configure {name}",
            src=f"templates/{name}.json.j2",
            dest=f"{folder}/{file}",
            user=name,
            group=name,
            mode="640",
            role=role,
        )
        unit = files.template(
            name=f"Place the {name} unit",
            src=f"templates/{name}.service.j2",
            dest=f"/etc/systemd/system/{name}.service",
            mode="644",
        )
        done += [settings, unit]
    return done


@deploy("Register services")
def register_services(services: list[str]) -> None:
    """Enable services without starting them."""
    for service in services:
        systemd.service(
            name=f"Enable {service}", service=service, running=False, enabled=True
        )
