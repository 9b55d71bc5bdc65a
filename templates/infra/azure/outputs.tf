output "object_storage_path" {
  description = "For AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
  value       = "abfs://{{ cookiecutter.connection_id }}@${var.container}/${var.prefix}"
}

output "connection" {
  description = "For AIRFLOW_CONN_{{ cookiecutter.connection_id | upper }}: no secret, the identity comes from where Airflow runs"
  value = jsonencode({
    conn_type = "wasb"
    extra     = { account_name = azurerm_storage_account.xcom.name, anon = false }
  })
}

output "helm_annotations" {
  description = "For `annotations` of the Remote Execution Agents' values.yaml"
  value       = { "azure.workload.identity/client-id" = azurerm_user_assigned_identity.xcom.client_id }
}

output "helm_labels" {
  description = "For `labels` of the Remote Execution Agents' values.yaml"
  value       = { "azure.workload.identity/use" = "true" }
}

output "connection_string" {
  description = "For `connection_string` of the connection on your own machine, if sas_expiry is set"
  value = one([
    for token in data.azurerm_storage_account_blob_container_sas.local :
    "BlobEndpoint=${azurerm_storage_account.xcom.primary_blob_endpoint};SharedAccessSignature=${trimprefix(token.sas, "?")}"
  ])
  sensitive = true
}
