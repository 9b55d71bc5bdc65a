output "object_storage_path" {
  description = "For AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
  value       = "gs://{{ cookiecutter.connection_id }}@${var.bucket}/${var.prefix}"
}

output "connection" {
  description = "For AIRFLOW_CONN_{{ cookiecutter.connection_id | upper }}: no secret, the identity comes from where Airflow runs"
  value = jsonencode({
    conn_type = "google_cloud_platform"
    extra     = { project = var.project }
  })
}

output "helm_annotations" {
  description = "For `annotations` of the Remote Execution Agents' values.yaml"
  value       = { "iam.gke.io/gcp-service-account" = google_service_account.xcom.email }
}

output "service_account_key" {
  description = "For `keyfile_dict` of the connection on your own machine, if service_account_key is true"
  value       = one([for key in google_service_account_key.local : base64decode(key.private_key)])
  sensitive   = true
}
