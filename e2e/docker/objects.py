"""Prints the keys of all objects of a bucket, asked of the store itself: the project's own Python starts this.

Arguments: the object storage path, and the connection as JSON.
"""

import json
import sys
from urllib.parse import urlsplit


def keys(path: str, connection: dict[str, str | dict[str, str]]) -> list[str]:
    """Return the keys in the bucket of an object storage path."""
    url, extra = urlsplit(path), connection.get("extra", {})
    assert isinstance(extra, dict)
    if url.scheme == "s3":
        from s3fs import S3FileSystem

        found = S3FileSystem(
            key=connection["login"], secret=connection["password"], endpoint_url=extra["endpoint_url"]
        ).find(url.hostname)
    elif url.scheme == "gs":
        from gcsfs import GCSFileSystem

        found = GCSFileSystem(token="anon", endpoint_url=extra["gcs.endpoint"]).find(url.hostname)  # noqa: S106
    else:
        from adlfs import AzureBlobFileSystem

        found = AzureBlobFileSystem(connection_string=extra["connection_string"]).find(url.hostname)
    return [name.removeprefix(f"{url.hostname}/") for name in found]


if __name__ == "__main__":
    print(json.dumps(keys(sys.argv[1], json.loads(sys.argv[2]))))
