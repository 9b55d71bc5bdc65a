locals {
  path     = "s3://{{ cookiecutter.connection_id }}@${var.bucket}/${var.prefix}"
  role_arn = one(aws_iam_role.xcom[*].arn)
  extra    = { region_name = var.region }
  keyless  = jsonencode({ conn_type = "aws", extra = local.extra })
  key = jsonencode({
    conn_type = "aws"
    login     = one(aws_iam_access_key.local[*].id)
    password  = one(aws_iam_access_key.local[*].secret)
    extra     = local.extra
  })
  annotations = var.oidc_provider_arn == null ? {} : { "eks.amazonaws.com/role-arn" = local.role_arn }
}

output "object_storage_path" {
  description = "For AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
  value       = local.path
}

output "connection" {
  description = "For AIRFLOW_CONN_{{ cookiecutter.connection_id | upper }} where pods or a deployment have the role themselves: no secret"
  value       = local.keyless
}

output "connection_assume_role" {
  description = "The same where a deployment on Astro keeps its default identity and takes the role (astro_workload_identities)"
  value = length(var.astro_workload_identities) == 0 ? null : jsonencode({
    conn_type = "aws"
    extra     = merge(local.extra, { role_arn = local.role_arn })
  })
}

output "role_arn" {
  description = "The role: for serviceAccount annotations, EKS Pod Identity, or as customer-managed identity of a deployment on Astro"
  value       = local.role_arn
}

output "policy_arn" {
  description = "The rights: attach them to a role that you have already, such as the one of your agents"
  value       = aws_iam_policy.xcom.arn
}

output "values_yaml" {
  description = "To paste into values.yaml of the Remote Execution Agents, over the same keys; EKS Pod Identity needs no annotation"
  value       = yamlencode({ annotations = local.annotations, labels = {} })
}

output "env_lines" {
  description = "To paste into .env on your own machine, over the same names: with the key, if access_key is true"
  value       = <<-END
    AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH=${local.path}
    AIRFLOW_CONN_{{ cookiecutter.connection_id | upper }}=${var.access_key ? local.key : local.keyless}
  END
  sensitive   = true
}
