variable "workspace" {
  description = "The workspace that these choices are for: default, or the name of a further deployment's"
  type        = string
  default     = "default"
  validation {
    condition     = terraform.workspace == var.workspace
    error_message = "These choices are for the workspace ${var.workspace}: begin the command with TF_WORKSPACE=${var.workspace}."
  }
}

variable "xcom_days" {
  description = "Days after which an XCom is deleted, whether or not a row still names it"
  type        = number
  default     = 90
  validation {
    condition     = var.xcom_days >= 1
    error_message = "xcom_days must be 1 or more, such as 90."
  }
}

variable "old_version_days" {
  description = "Days for which a deleted or replaced XCom can still be restored"
  type        = number
  default     = 7
  validation {
    condition     = var.old_version_days >= 1
    error_message = "old_version_days must be 1 or more, such as 7."
  }
}
