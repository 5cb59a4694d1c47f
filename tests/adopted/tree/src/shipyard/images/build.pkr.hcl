# Run from the root of the repository, with the environment of its lock file:
#   packer build -only amazon-ebs.hull -var app_name=NAME src/shipyard/images
locals {
  timestamp = regex_replace(timestamp(), "[- TZ:]", "")
}

source "amazon-ebs" "hull" {
  ami_description         = "Image of ${var.app_name} generated at ${local.timestamp}"
  ami_name                = "${var.app_name}-${var.node_type}-${local.timestamp}"
  ami_virtualization_type = "hvm"
  instance_type           = "t3a.medium"
  source_ami_filter {
    filters = {
      name                = "debian-12-amd64*"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
    most_recent = true
    owners      = ["136693071363"]
  }
  ssh_username = "admin"
  subnet_filter {
    filters = {
      "tag:Environment" : "operations-ci"
    }
    random = true
  }
  tags = {
    Name = "${var.app_name}-${var.node_type}"
    keel = var.keel
  }
}

build {
  sources = ["source.amazon-ebs.hull"]

  provisioner "shell-local" {
    inline = [
      "umask 077",
      "echo '${build.SSHPrivateKey}' > '${path.root}/${build.ID}.pem'",
    ]
  }
  provisioner "shell-local" {
    environment_vars = ["NODE_TYPE=${var.node_type}"]
    inline = [
      "pyinfra -y --sudo --user ${build.User} --port ${build.Port} --key '${path.root}/${build.ID}.pem' --data ssh_strict_host_key_checking=off --chdir '${path.root}/${var.app_name}' ${build.Host} deploy.py",
    ]
  }
}
