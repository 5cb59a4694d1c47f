variable "app_name" {
  type = string
  validation {
    condition     = contains(["lighthouse"], var.app_name)
    error_message = "There is only a lighthouse."
  }
}

variable "node_type" {
  type    = string
  default = "server"
}

variable "keel" {
  type        = string
  description = "Something that the keepers of the repository want to be given"
}
