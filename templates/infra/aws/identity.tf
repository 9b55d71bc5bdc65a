# Who may use the bucket, with exactly the rights of policy.json: a role for pods on EKS and for deployments on Astro,
# and, only if you ask for it, a user with an access key for work on your own machine.

locals {
  # policy.json and tls-only.json name the bucket and prefix of this project: the values of the variables replace them.
  # In GovCloud and China an ARN starts otherwise than arn:aws.
  s3       = "arn:${data.aws_partition.current.partition}:s3:::"
  answered = {{ ("arn:aws:s3:::" ~ cookiecutter.bucket) | tojson }}
  granted = concat(
    values(local.stores), var.state_prefix == null ? [] : [{ bucket = var.bucket, prefix = var.state_prefix, region = var.region }]
  )
  rights = [
    for store in local.granted : jsondecode(replace(
      replace(file("${path.module}/policy.json"), "${local.answered}/xcom/", "${local.answered}/${store.prefix}/"),
      local.answered, "${local.s3}${store.bucket}"
    )).Statement
  ]
  # Each store's statements in one policy; with a mirror their names have a number.
  statements = flatten([
    for number, statements in local.rights :
    [for statement in statements : merge(statement, number == 0 ? {} : { Sid = "${statement.Sid}${number + 1}" })]
  ])
  key_rights = var.kms_key_arn == null ? [] : [{
    Sid      = "Key"
    Effect   = "Allow"
    Action   = ["kms:GenerateDataKey", "kms:Decrypt"]
    Resource = var.kms_key_arn
  }]

  # The address of the OIDC provider without its ARN, as tokens name it.
  issuer   = try(split("oidc-provider/", var.oidc_provider_arn)[1], "")
  accounts = [for account in var.service_accounts : split("/", account)]
  irsa = var.oidc_provider_arn == null ? [] : [{
    Effect    = "Allow"
    Action    = "sts:AssumeRoleWithWebIdentity"
    Principal = { Federated = var.oidc_provider_arn }
    Condition = {
      StringEquals = {
        "${local.issuer}:aud" = "sts.amazonaws.com"
        "${local.issuer}:sub" = [for account in local.accounts : "system:serviceaccount:${account[0]}:${account[1]}"]
      }
    }
  }]
  pod_identity = var.eks_cluster_arn == null ? [] : [
    for account in local.accounts : {
      Effect    = "Allow"
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Principal = { Service = "pods.eks.amazonaws.com" }
      Condition = {
        StringEquals = {
          "aws:RequestTag/eks-cluster-arn"            = var.eks_cluster_arn
          "aws:RequestTag/kubernetes-namespace"       = account[0]
          "aws:RequestTag/kubernetes-service-account" = account[1]
        }
      }
    }
  ]
  deployments = [for arn in var.astro_workload_identities : {
    Effect    = "Allow"
    Action    = "sts:AssumeRole"
    Principal = { AWS = arn }
  }]
  trusted = concat(
    [for one in local.irsa : jsonencode(one)],
    [for one in local.pod_identity : jsonencode(one)],
    [for one in local.deployments : jsonencode(one)],
  )
}

resource "aws_iam_policy" "xcom" {
  name        = var.name
  description = "Write, read, list and delete XComs in ${var.bucket}/${var.prefix}"
  policy      = jsonencode({ Version = "2012-10-17", Statement = concat(local.statements, local.key_rights) })
}

resource "aws_iam_role" "xcom" {
  count = length(local.trusted) > 0 ? 1 : 0
  name  = var.name
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [for statement in local.trusted : jsondecode(statement)]
  })
}

resource "aws_iam_role_policy_attachment" "xcom" {
  count      = length(aws_iam_role.xcom)
  role       = aws_iam_role.xcom[0].name
  policy_arn = aws_iam_policy.xcom.arn
}

resource "aws_iam_user" "local" {
  # checkov:skip=CKV_AWS_273:only for work on your own machine, off unless asked for; deployments use the role
  count = var.access_key ? 1 : 0
  name  = "${var.name}-local"
}

resource "aws_iam_user_policy_attachment" "local" {
  # checkov:skip=CKV_AWS_40:one user with one policy needs no group
  count      = length(aws_iam_user.local)
  user       = aws_iam_user.local[0].name
  policy_arn = aws_iam_policy.xcom.arn
}

# The state file holds this key: keep it where only you can read it, or make the key with `aws iam create-access-key`.
resource "aws_iam_access_key" "local" {
  count = length(aws_iam_user.local)
  user  = aws_iam_user.local[0].name
}
