# The default template: any app whose image is a Debian cloud image and a pyinfra deploy.
# To build it yourself, from the root of the project:
#   packer build -only amazon-ebs.third-party -var app_name=NAME images/default
locals {
  timestamp = regex_replace(timestamp(), "[- TZ:]", "")
  app       = "${var.images_folder != "" ? abspath(var.images_folder) : abspath("${path.root}/..")}/${var.app_name}"
  tags = {
    Name    = "${var.app_name}-${var.node_type}"
    OU      = var.business_unit
    app     = var.app_name
    purpose = "${var.app_name}-${var.node_type}"
    commit  = var.commit
    run_id  = var.run_id
  }
  builder_tags = {
    Name   = "${var.app_name}-${var.node_type}-packer-builder"
    OU     = var.business_unit
    app    = var.app_name
    run_id = var.run_id
  }
}

source "amazon-ebs" "third-party" {
  ami_description         = "Deployment image for ${var.app_name} ${var.node_type} generated at ${local.timestamp}"
  ami_name                = "${var.app_name}-${var.node_type}-${local.timestamp}"
  ami_virtualization_type = "hvm"
  instance_type           = "t3a.medium"
  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_size           = 25
    delete_on_termination = true
  }
  run_tags        = local.builder_tags
  run_volume_tags = local.builder_tags
  snapshot_tags = {
    Name = "${var.app_name}-${var.node_type}-ami"
    OU   = var.business_unit
    app  = var.app_name
  }
  source_ami_filter {
    filters = {
      name                = "debian-12-amd64*"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
    most_recent = true
    owners      = ["136693071363"]
  }
  ssh_username              = "admin"
  ssh_clear_authorized_keys = true # the image must not let the builder's key in
  subnet_filter {
    filters = {
      "tag:Environment" : var.build_environment
    }
    random = true
  }
  tags = local.tags
}

build {
  sources = ["source.amazon-ebs.third-party"]

  # pyinfra runs on this machine and reaches the builder over SSH. Its key lives in a
  # private folder that goes when the script ends, whichever way it ends.
  provisioner "shell-local" {
    environment_vars = concat(
      ["AMI_TAGS=${jsonencode(local.tags)}", "NODE_TYPE=${var.node_type}"],
      [for name, value in var.settings : "${upper(name)}=${value}"],
    )
    inline = [
      "umask 077",
      "private=$(mktemp -d)",
      "mkfifo \"$private/alive\"",
      # Packer may kill this script, and no trap hears that: who removes the folder waits
      # for the end of all that hold the other end of the pipe.
      "(trap '' INT TERM HUP; cat \"$private/alive\"; rm -rf \"$private\") >/dev/null 2>&1 &",
      "exec 4>\"$private/alive\"",
      "trap 'exit 130' INT TERM HUP",
      "touch \"$private/known_hosts\"",
      "printf '%s\\n' '${build.SSHPrivateKey}' > \"$private/key\"",
      "pyinfra -y --sudo --user ${build.User} --port ${build.Port} --key \"$private/key\" --data ssh_strict_host_key_checking=off --data ssh_known_hosts_file=\"$private/known_hosts\" --chdir '${local.app}' ${build.Host} deploy.py",
    ]
  }

  provisioner "shell" {
    inline = ["dpkg-query --show | sudo tee /etc/ami_packages > /dev/null"]
  }

  provisioner "file" {
    direction   = "download"
    source      = "/etc/ami_packages"
    destination = var.packages_file
  }
}
