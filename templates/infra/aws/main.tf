# The bucket for big XComs: private, encrypted, over TLS only, with versions, and it forgets what is old.

terraform {
  required_version = ">= 1.6"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.86, < 7.0"
    }
  }
}

provider "aws" {
  region = var.region
}

resource "aws_s3_bucket" "xcom" {
  # checkov:skip=CKV_AWS_145:SSE-S3 encrypts too; a KMS key costs money and needs kms: rights on every worker
  # checkov:skip=CKV_AWS_18:an access log needs a second bucket; add it if your rules ask for one
  # checkov:skip=CKV_AWS_144:XComs live for days and can be made again; a copy elsewhere is what a mirror is for
  # checkov:skip=CKV2_AWS_62:nothing waits for events of this bucket
  bucket = var.bucket
}

resource "aws_s3_bucket_public_access_block" "xcom" {
  bucket                  = aws_s3_bucket.xcom.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "xcom" {
  bucket = aws_s3_bucket.xcom.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_versioning" "xcom" {
  bucket = aws_s3_bucket.xcom.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_policy" "tls_only" {
  bucket = aws_s3_bucket.xcom.id
  policy = replace(file("${path.module}/tls-only.json"), local.answered, local.chosen)
}

# An object that expires while a row still names it is an error for whoever pulls it: choose more days than your longest
# run takes, and than you keep rows (`airflow db clean`).
resource "aws_s3_bucket_lifecycle_configuration" "xcom" {
  bucket     = aws_s3_bucket.xcom.id
  depends_on = [aws_s3_bucket_versioning.xcom]

  rule {
    id     = "forget-xcoms"
    status = "Enabled"
    filter {
      prefix = "${var.prefix}/"
    }
    expiration {
      days = var.xcom_days
    }
    noncurrent_version_expiration {
      noncurrent_days = var.old_version_days
    }
  }

  rule {
    id     = "end-unfinished-uploads"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }
}
