output "object_storage_path" {
  description = "For AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
  value       = "s3://{{ cookiecutter.connection_id }}@${var.bucket}/${var.prefix}"
}

output "connection" {
  description = "For AIRFLOW_CONN_{{ cookiecutter.connection_id | upper }}: no secret, the identity comes from where Airflow runs"
  value = jsonencode({
    conn_type = "aws"
    extra = merge(
      { region_name = var.region },
      length(var.astro_workload_identities) > 0 ? { role_arn = aws_iam_role.xcom[0].arn } : {}
    )
  })
}

output "helm_annotations" {
  description = "For `annotations` of the Remote Execution Agents' values.yaml"
  value       = { for role in aws_iam_role.xcom : "eks.amazonaws.com/role-arn" => role.arn }
}

output "access_key_id" {
  description = "For `login` of the connection on your own machine, if access_key is true"
  value       = one(aws_iam_access_key.local[*].id)
}

output "secret_access_key" {
  description = "For `password` of the connection on your own machine, if access_key is true"
  value       = one(aws_iam_access_key.local[*].secret)
  sensitive   = true
}
