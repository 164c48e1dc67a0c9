"""Archiving to S3-compatible storage, against a server that speaks S3 on loopback. Needs the extra ``s3`` and moto."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from confcleanup.errors import ArchiveError
from confcleanup.records.archive import Archive
from tests.fake import thing
from tests.records.test_archive import MP3, media
from tests.records.test_copies import World

pytestmark = pytest.mark.s3


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    import boto3
    import fsspec
    import requests
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }.items():
        monkeypatch.setenv(name, value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    requests.post(f"http://{host}:{port}/moto-api/reset", timeout=10)
    boto3.client("s3").create_bucket(Bucket="archive")
    yield "s3://archive/confcleanup"
    server.stop()


def objects() -> dict[str, bytes]:
    import boto3

    client = boto3.client("s3")
    found = client.list_objects_v2(Bucket="archive").get("Contents", [])
    return {one["Key"]: client.get_object(Bucket="archive", Key=one["Key"])["Body"].read() for one in found}


def test_a_copy_arrives_whole_with_its_sums_last(bucket: str) -> None:
    Archive(bucket).keep("hq", thing("7"), [media(MP3 + b"sound" * 100_000)])
    names = {key.rsplit("/", 1)[1]: len(content) for key, content in objects().items()}
    assert names["01-call.mp3"] == 500_004
    assert {"item.json", "SHA256SUMS"} < set(names)
    found = Archive(bucket).find("hq", thing("7"))
    assert found
    assert found[1]["id"] == "7"


def test_a_short_download_leaves_no_complete_copy(bucket: str) -> None:
    with pytest.raises(ArchiveError):
        Archive(bucket).keep("hq", thing("7"), [media(MP3, size=100)])
    assert Archive(bucket).find("hq", thing("7")) is None


def test_a_bucket_that_does_not_exist_keeps_the_item(bucket: str) -> None:
    with pytest.raises(ArchiveError, match="cannot be used"):
        Archive("s3://no-such-bucket/x").keep("hq", thing("7"), [])


def test_a_damaged_copy_is_made_again(bucket: str) -> None:
    import boto3

    Archive(bucket).keep("hq", thing("7"), [media(MP3)])
    key = next(key for key in objects() if key.endswith(".mp3"))
    boto3.client("s3").put_object(Bucket="archive", Key=key, Body=b"rotten")
    Archive(bucket).keep("hq", thing("7"), [media(MP3)])
    assert objects()[key] == MP3


def test_a_check_tells_a_bucket_that_is_not_there_and_leaves_nothing_in_one_that_is(bucket: str) -> None:
    Archive(bucket).check()
    assert objects() == {}
    with pytest.raises(ArchiveError, match="cannot be used"):
        Archive("s3://no-such-bucket/x").check()


def test_copies_that_have_expired_go_and_what_was_changed_stays(bucket: str, tmp_path: Path) -> None:
    import boto3

    world = World(tmp_path, bucket)
    with world.ledger:
        world.run()
        (changed,) = [key for key in objects() if "/a-" in key and key.endswith("01-a0.mp3")]
        boto3.client("s3").put_object(Bucket="archive", Key=changed, Body=MP3)
        plan = world.expire()
        assert (plan.copies.removed, plan.copies.changed, plan.copies.errors) == (2, 1, [])
        assert {key.rsplit("/", 2)[1][0] for key in objects()} == {"a"}
        assert len(objects()) == 4
