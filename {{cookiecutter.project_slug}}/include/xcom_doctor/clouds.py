"""What differs by cloud: schemes, connection types, packages, and the words for rights. No `if aws` elsewhere."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cloud:
    """One object store as Airflow and fsspec know it."""

    name: str
    schemes: tuple[str, ...]
    conn_types: tuple[str, ...]
    provider: str  # the Airflow provider with the filesystem
    module: str  # the fsspec package that the provider imports, and how pip calls the two together
    requirement: str
    bucket_word: str
    create_bucket: str  # shell command; `{bucket}` is filled in
    permissions: dict[str, str]  # probe step -> what the identity lacks when the store refuses that step
    grant: str  # how to give it; `{permission}`, `{bucket}`, `{prefix}` are filled in
    example: str  # a connection that works, secrets left open
    rights_file: str = ""  # the file of infra/ that grants the rights, in a project for this cloud
    right_form: str = r"(?!)"  # how the names of rights look, in `permissions` as in that file


# No more rights than are needed: docs/reference/least-privilege.md of xcom-template has the proof.
AWS = Cloud(
    name="AWS",
    schemes=("s3", "s3a", "s3n"),
    conn_types=("aws",),
    provider="apache-airflow-providers-amazon",
    module="s3fs",
    requirement="apache-airflow-providers-amazon[s3fs]",
    bucket_word="bucket",
    create_bucket="aws s3 mb s3://{bucket}",
    permissions={
        "write": "s3:PutObject on arn:aws:s3:::{bucket}/{prefix}*",
        "read": "s3:GetObject on arn:aws:s3:::{bucket}/{prefix}*",
        "list": "s3:ListBucket on arn:aws:s3:::{bucket}",
        "overwrite": "s3:PutObject on arn:aws:s3:::{bucket}/{prefix}*",
        "delete": "s3:DeleteObject on arn:aws:s3:::{bucket}/{prefix}*",
    },
    grant="add to the identity's IAM policy: {permission}",
    example='{"conn_type":"aws","login":"<access key id>","password":"<secret access key>",'
    '"extra":{"region_name":"<region>"} }',
    rights_file="infra/policy.json",
    right_form=r"s3:\w+",
)
GCP = Cloud(
    name="Google Cloud",
    schemes=("gs", "gcs"),
    conn_types=("google_cloud_platform",),
    provider="apache-airflow-providers-google",
    module="gcsfs",
    requirement="apache-airflow-providers-google",
    bucket_word="bucket",
    create_bucket="gcloud storage buckets create gs://{bucket}",
    permissions={
        "write": "storage.objects.create",
        "read": "storage.objects.get",
        "list": "storage.objects.list",
        "overwrite": "storage.objects.delete (Cloud Storage asks it of whoever replaces an object)",
        "delete": "storage.objects.delete",
    },
    grant="grant {permission} on gs://{bucket}; the role roles/storage.objectUser has all of these",
    example='{"conn_type":"google_cloud_platform","extra":{"project":"<project>","keyfile_dict":"<key as JSON>"} }',
    rights_file="infra/role.json",
    right_form=r"storage\.[\w.]+",
)
AZURE = Cloud(
    name="Azure",
    schemes=("abfs", "abfss", "adl"),
    conn_types=("wasb", "adls", "azure_data_lake"),
    provider="apache-airflow-providers-microsoft-azure",
    module="adlfs",
    requirement="apache-airflow-providers-microsoft-azure",
    bucket_word="container",
    create_bucket="az storage container create --name {bucket} --account-name YOUR-STORAGE-ACCOUNT",
    permissions={
        "write": "write (SAS letter w)",
        "read": "read (SAS letter r)",
        "list": "list (SAS letter l)",
        "overwrite": "overwrite (SAS letter w)",
        "delete": "delete (SAS letter d)",
    },
    grant="give the SAS token {permission}, or the identity the role Storage Blob Data Contributor on "
    "container {bucket}",
    example='{"conn_type":"wasb","extra":{"connection_string":"<from the storage account, Access keys>"} }',
    rights_file="infra/rights.json",
    right_form=r"\b[a-z]\b",
)
LOCAL = Cloud(
    name="local folder",
    schemes=("file", "local"),
    conn_types=(),
    provider="apache-airflow",
    module="fsspec",
    requirement="apache-airflow",
    bucket_word="folder",
    create_bucket="mkdir -p /{bucket}",
    permissions=dict.fromkeys(("write", "overwrite", "delete"), "write permission (w) on the folder")
    | dict.fromkeys(("read", "list"), "read permission (r) on the folder"),
    grant="chmod or chown the folder for the user that Airflow runs as: {permission}",
    example="",
)
CLOUDS = (AWS, GCP, AZURE, LOCAL)
UNKNOWN = Cloud("an unknown store", (), (), "", "", "", "bucket", "", {}, "", "")

# Schemes that people copy from elsewhere, and Airflow's name for the same store.
SCHEME_ALIASES = {
    "azblob": "abfs",
    "wasb": "abfs",
    "wasbs": "abfss",
    "az": "abfs",
    "azure": "abfs",
    "adls": "abfs",
    "aws": "s3",
    "s3fs": "s3",
    "google": "gs",
    "gcp": "gs",
    "gsutil": "gs",
    "https": "",
    "http": "",
}


def cloud_of(scheme: str) -> Cloud:
    """The cloud that a scheme belongs to, or UNKNOWN."""
    return next((cloud for cloud in CLOUDS if scheme in cloud.schemes), UNKNOWN)
