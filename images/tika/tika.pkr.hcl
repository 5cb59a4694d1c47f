# The Tika image. To build it yourself, from the root of the project:
#   packer build -only amazon-ebs.tika images/tika/tika.pkr.hcl
packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = "~> 1.0"
    }
  }
}

locals {
  timestamp = regex_replace(timestamp(), "[- TZ:]", "")
  tags = {
    Name    = "tika-${var.node_type}"
    OU      = var.business_unit
    app     = "tika"
    purpose = "tika-${var.node_type}"
    marker  = var.marker
    commit  = var.commit
    run_id  = var.run_id
  }
  builder_tags = {
    Name   = "tika-${var.node_type}-packer-builder"
    OU     = var.business_unit
    app    = "tika"
    run_id = var.run_id
  }
}

variable "build_environment" {
  type    = string
  default = "operations-ci"
}

variable "business_unit" {
  type    = string
  default = "operations"
}

variable "node_type" {
  type    = string
  default = "server"
}

variable "run_id" {
  type        = string
  default     = "by-hand"
  description = "The olrunbook run that builds the image"
}

variable "commit" {
  type        = string
  default     = "unknown"
  description = "The commit the image is built from"
}

variable "marker" {
  type        = string
  default     = "unmarked"
  description = "Text served at /image, to tell two images apart"
}

variable "tika_java_options" {
  type        = string
  default     = "-Xms64m -Xmx512m"
  description = "Options of the Java process that serves"
}

variable "check_at_bake" {
  type        = bool
  default     = true
  description = "Tika must answer once before the image is made"
}

variable "tika_version" {
  type        = string
  default     = ""
  description = "Empty: the one in versions.toml; the same holds for the next two"
}

variable "vault_version" {
  type    = string
  default = ""
}

variable "consul_version" {
  type    = string
  default = ""
}

variable "packages_file" {
  type        = string
  default     = "/dev/null"
  description = "Where the image's list of packages is written on this machine"
}

source "amazon-ebs" "tika" {
  ami_description         = "Deployment image for tika application generated at ${local.timestamp}"
  ami_name                = "tika-${var.node_type}-${local.timestamp}"
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
    Name = "tika-${var.node_type}-ami"
    OU   = var.business_unit
    app  = "tika"
  }
  source_ami_filter {
    filters = {
      name                = "docker_baseline_ami-*"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
    most_recent = true
    owners      = ["610119931565"]
  }
  ssh_username              = "admin"
  ssh_interface             = "public_ip"
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
  sources = ["source.amazon-ebs.tika"]

  # pyinfra runs on this machine and reaches the builder over SSH. Its key lives in a
  # private folder that goes when the script ends, whichever way it ends.
  provisioner "shell-local" {
    environment_vars = [
      "AMI_TAGS=${jsonencode(local.tags)}",
      "CHECK_AT_BAKE=${var.check_at_bake}",
      "CONSUL_VERSION=${var.consul_version}",
      "MARKER=${var.marker}",
      "NODE_TYPE=${var.node_type}",
      "TIKA_JAVA_OPTIONS=${var.tika_java_options}",
      "TIKA_VERSION=${var.tika_version}",
      "VAULT_VERSION=${var.vault_version}",
    ]
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
      "pyinfra -y --sudo --user ${build.User} --port ${build.Port} --key \"$private/key\" --data ssh_strict_host_key_checking=off --data ssh_known_hosts_file=\"$private/known_hosts\" --chdir '${abspath(path.root)}' ${build.Host} deploy.py",
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
