locals {
  path    = "abfs://{{ cookiecutter.connection_id }}@${var.container}/${var.prefix}"
  keyless = jsonencode({ conn_type = "wasb", extra = { account_name = var.storage_account, anon = false } })
  connection_string = one([
    for token in data.azurerm_storage_account_blob_container_sas.local :
    "BlobEndpoint=${azurerm_storage_account.xcom["primary"].primary_blob_endpoint};SharedAccessSignature=${trimprefix(token.sas, "?")}"
  ])
  signed      = jsonencode({ conn_type = "wasb", extra = { connection_string = local.connection_string } })
  annotations = { "azure.workload.identity/client-id" = azurerm_user_assigned_identity.xcom.client_id }
  labels      = { "azure.workload.identity/use" = "true" }
}

output "object_storage_path" {
  description = "For AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
  value       = local.path
}

output "connection" {
  description = "For AIRFLOW_CONN_{{ cookiecutter.connection_id | upper }}: no secret, the identity comes from where Airflow runs"
  value       = local.keyless
}

output "client_id" {
  description = "The managed identity: as customer-managed identity of a deployment on Astro"
  value       = azurerm_user_assigned_identity.xcom.client_id
}

output "principal_id" {
  description = "The object ID of the managed identity: for rights of your own"
  value       = azurerm_user_assigned_identity.xcom.principal_id
}

output "role_definition_id" {
  description = "The rights: assign them to an identity that you have already, such as the one of your agents (or name it in principal_ids)"
  value       = azurerm_role_definition.xcom.role_definition_resource_id
}

output "values_yaml" {
  description = "To paste into values.yaml of the Remote Execution Agents, over the same keys"
  value       = yamlencode({ annotations = local.annotations, labels = local.labels })
}

output "env_lines" {
  description = "To paste into .env on your own machine, over the same names: with the SAS, if sas_expiry is set"
  value       = <<-END
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH=${local.path}
    AIRFLOW_CONN_{{ cookiecutter.connection_id | upper }}=${local.connection_string == null ? local.keyless : local.signed}
  END
  sensitive   = true
}
