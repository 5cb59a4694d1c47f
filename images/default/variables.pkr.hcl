variable "app_name" {
  type        = string
  description = "The app; its deploy file is <images_folder>/<app_name>/deploy.py"
  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9_-]*$", var.app_name))
    error_message = "The app_name must be the name of a folder with a deploy.py."
  }
}

variable "node_type" {
  type    = string
  default = "server"
  validation {
    condition     = contains(["web", "worker", "server"], var.node_type)
    error_message = "The node_type must be web, worker or server."
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

variable "images_folder" {
  type        = string
  default     = ""
  description = "Where the apps' folders are; empty: beside this template"
}

variable "settings" {
  type        = map(string)
  default     = {}
  description = "What the app's deploy reads from its environment, by lower-case name"
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

variable "packages_file" {
  type        = string
  default     = "/dev/null"
  description = "Where the image's list of packages is written on this machine"
}
