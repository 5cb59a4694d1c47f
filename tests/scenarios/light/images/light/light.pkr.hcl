# A bake that installs nothing: the web image is made, the worker's provisioning fails.
packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = "~> 1.0"
    }
  }
}

variable "node_type" {
  type = string
}

variable "run_id" {
  type    = string
  default = "by-hand"
}

variable "nap" {
  type        = string
  description = "Seconds that the build takes at least."
  default     = "0"
}

source "amazon-ebs" "light" {
  ami_name      = "light-baked-${var.node_type}-${var.run_id}"
  communicator  = "none"
  instance_type = "t3a.nano"
  source_ami_filter {
    filters     = { name = "debian-12-amd64*" }
    most_recent = true
    owners      = ["136693071363"]
  }
  subnet_filter {
    filters = { "tag:Environment" : "operations-ci" }
    random  = true
  }
}

build {
  sources = ["source.amazon-ebs.light"]

  provisioner "shell-local" {
    inline = [
      "echo provisioning ${var.node_type}",
      "sleep ${var.nap}",
      "test ${var.node_type} != worker",
    ]
  }
}
