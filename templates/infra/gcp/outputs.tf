locals {
  path    = "gs://{{ cookiecutter.connection_id }}@${var.bucket}/${var.prefix}"
  keyfile = one([for key in google_service_account_key.local : base64decode(key.private_key)])
  keyless = jsonencode({ conn_type = "google_cloud_platform", extra = { project = var.project } })
  keyed = jsonencode({
    conn_type = "google_cloud_platform"
    extra     = { project = var.project, keyfile_dict = try(jsondecode(local.keyfile), null) }
  })
  annotations = { "iam.gke.io/gcp-service-account" = google_service_account.xcom.email }
}

output "object_storage_path" {
  description = "For AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
  value       = local.path
}

output "connection" {
  description = "For AIRFLOW_CONN_{{ cookiecutter.connection_id | upper }}: no secret, the identity comes from where Airflow runs"
  value       = local.keyless
}

output "service_account_email" {
  description = "The service account: as customer-managed identity of a deployment on Astro, or for rights of your own"
  value       = google_service_account.xcom.email
}

output "role_id" {
  description = "The rights: grant them to a service account that you have already, such as the one of your agents"
  value       = google_project_iam_custom_role.xcom.id
}

output "values_yaml" {
  description = "To paste into values.yaml of the Remote Execution Agents, over the same keys"
  value       = yamlencode({ annotations = local.annotations, labels = {} })
}

output "env_lines" {
  description = "To paste into .env on your own machine, over the same names: with the key, if service_account_key is true"
  value       = <<-END
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH=${local.path}
    AIRFLOW_CONN_{{ cookiecutter.connection_id | upper }}=${var.service_account_key ? local.keyed : local.keyless}
  END
  sensitive   = true
}
