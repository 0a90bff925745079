"""Run by the interpreter of the tools: put the files below a folder into a bucket, once its server answers."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import boto3  # type: ignore[import-not-found, unused-ignore]
from botocore.exceptions import EndpointConnectionError  # type: ignore[import-not-found, unused-ignore]

client = boto3.client("s3")
for _ in range(200):
    try:
        client.create_bucket(Bucket="bucket")
        break
    except EndpointConnectionError:
        time.sleep(0.1)
folder = Path(sys.argv[1])
for path in sorted(folder.rglob("*")):
    if path.is_file():
        client.upload_file(str(path), "bucket", path.relative_to(folder).as_posix())
