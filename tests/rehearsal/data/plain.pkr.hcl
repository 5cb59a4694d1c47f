locals {
  timestamp = regex_replace(timestamp(), "[- TZ:]", "")
}
variable "build_environment" {
  type    = string
  default = "operations-ci"
}
source "amazon-ebs" "tika" {
  ami_description         = "Deployment image for tika application generated at ${local.timestamp}"
  ami_name                = "tika-server-${local.timestamp}"
  ami_virtualization_type = "hvm"
  instance_type           = "t3a.medium"
  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_size           = 25
    delete_on_termination = true
  }
  run_tags        = { Name = "tika-server-packer-builder" }
  run_volume_tags = { Name = "tika-server-packer-builder" }
  snapshot_tags   = { Name = "tika-server-ami" }
  tags            = { Name = "tika-server", OU = "operations", app = "tika", purpose = "tika-server" }
  source_ami_filter {
    filters = {
      name                = "docker_baseline_ami-*"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
    most_recent = true
    owners      = ["610119931565"]
  }
  ssh_username  = "admin"
  ssh_interface = "public_ip"
  subnet_filter {
    filters = { "tag:Environment" : var.build_environment }
    random  = true
  }
}
build {
  sources = ["source.amazon-ebs.tika"]
  provisioner "shell" {
    inline = ["sudo sh -c 'echo v1 > /etc/marker'", "hostname"]
  }
}
