"""The vendors' own SDKs against the running demo, with nothing changed but the endpoint."""

from __future__ import annotations

import base64
import io
import json
import re
from typing import TYPE_CHECKING, Any

import alibabacloud_oss_v2 as oss_v2
import oss2
import pytest
import requests
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from qcloud_cos import CosConfig, CosS3Client
from qcloud_cos.cos_exception import CosServiceError

from gateway.commands.demo_names import DEMO_ACCESS_KEY, DEMO_SECRET
from gateway.dialects.xml import XmlLimits, parse
from tests.boto import s3_client

if TYPE_CHECKING:
    from tests.conftest import Demo

KEY, SECRET = DEMO_ACCESS_KEY, DEMO_SECRET
pytestmark = pytest.mark.store


def s3(demo: Demo, secret: str = SECRET, endpoint: str = "", **config: Any) -> Any:
    return s3_client(endpoint or demo.endpoint, KEY, secret, **config)


def oss_auths() -> list[Any]:
    return [oss2.Auth(KEY, SECRET), oss2.AuthV2(KEY, SECRET), oss2.AuthV4(KEY, SECRET)]


def oss_bucket(demo: Demo, auth: Any, name: str = "demo") -> Any:
    return oss2.Bucket(auth, demo.endpoint, name, region="cn-hangzhou")


def oss_v2_client(demo: Demo) -> Any:
    config = oss_v2.config.load_default()
    config.credentials_provider = oss_v2.credentials.StaticCredentialsProvider(KEY, SECRET)
    config.region, config.endpoint, config.retry_max_attempts = "cn-hangzhou", demo.endpoint, 1
    return oss_v2.Client(config)


def cos_client(demo: Demo, secret: str = SECRET) -> Any:
    config = CosConfig(
        Region="ap-beijing", SecretId=KEY, SecretKey=secret, Scheme="http", IP="127.0.0.1", Port=demo.port
    )
    return CosS3Client(config, retry=0)


def fetched(url: str, proxies: dict[str, str] | None = None) -> bytes:
    """GET a signed URL with nothing added, as a browser or a CDN would."""
    answer = requests.get(url, proxies=proxies, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.content


def check_oss_score(body: bytes) -> float:
    answer = json.loads(body)
    assert re.fullmatch(rb'\{"ImageScore":\{"OverallQualityScore":\d\.\d{3}\},"RequestId":"[0-9A-F-]+"\}', body)
    return float(answer["ImageScore"]["OverallQualityScore"])


@pytest.fixture(scope="module")
def sharp(demo: Demo) -> bytes:
    """The bytes of sharp.jpg, past every SDK: what an unchanged GetObject must return."""
    return bytes(s3(demo).get_object(Bucket="demo", Key="sharp.jpg")["Body"].read())


@pytest.mark.parametrize("auth", oss_auths(), ids=["V1", "V2", "V4"])
def test_oss2_gets_bytes_and_a_score(demo: Demo, sharp: bytes, auth: Any) -> None:
    bucket = oss_bucket(demo, auth)
    assert bucket.get_object("sharp.jpg").read() == sharp
    assert 0.5 < check_oss_score(bucket.get_object("sharp.jpg", process="image/score").read()) <= 1
    url = bucket.sign_url("GET", "sharp.jpg", 600, params={"x-oss-process": "image/score"})
    assert check_oss_score(fetched(url)) > 0.5


def test_oss2_saves_a_score_to_a_file_without_a_checksum_quarrel(demo: Demo, tmp_path: Any) -> None:
    path = str(tmp_path / "score.json")
    oss_bucket(demo, oss2.Auth(KEY, SECRET)).get_object_to_file("sharp.jpg", path, process="image/score")
    assert check_oss_score((tmp_path / "score.json").read_bytes()) > 0.5


@pytest.mark.parametrize("auth", oss_auths(), ids=["V1", "V2", "V4"])
def test_oss2_raises_its_own_exceptions(demo: Demo, auth: Any) -> None:
    bucket = oss_bucket(demo, auth)
    with pytest.raises(oss2.exceptions.NoSuchKey) as missing:
        bucket.get_object("none.jpg", process="image/score")
    assert missing.value.request_id
    with pytest.raises(oss2.exceptions.NoSuchKey):
        bucket.head_object("none.jpg")
    bucket.put_object("notes.txt", b"these are not pixels")
    with pytest.raises(oss2.exceptions.InvalidArgument, match="not an image"):
        bucket.get_object("notes.txt", process="image/score")
    wrong = oss_bucket(demo, type(auth)(KEY, "wrong"))
    with pytest.raises(oss2.exceptions.SignatureDoesNotMatch):
        wrong.get_object("sharp.jpg")


def test_oss_sdk_v2_gets_bytes_and_a_score(demo: Demo, sharp: bytes) -> None:
    client = oss_v2_client(demo)
    assert client.get_object(oss_v2.GetObjectRequest(bucket="demo", key="sharp.jpg")).body.read() == sharp
    request = oss_v2.GetObjectRequest(bucket="demo", key="sharp.jpg", process="image/score")
    assert check_oss_score(client.get_object(request).body.read()) > 0.5
    assert check_oss_score(fetched(client.presign(request).url)) > 0.5
    with pytest.raises(oss_v2.exceptions.OperationError, match="NoSuchKey"):
        client.get_object(oss_v2.GetObjectRequest(bucket="demo", key="none.jpg", process="image/score"))


def test_cos_sdk_gets_bytes_and_its_dict(demo: Demo, sharp: bytes) -> None:
    client = cos_client(demo)
    answer = client.get_object(Bucket="demo-1250000000", Key="sharp.jpg")
    assert answer["Body"].get_raw_stream().read() == sharp
    for call in (
        client.ci_image_assess_quality,
        lambda **names: client.ci_process(**names, CiProcess="AssessQuality"),
    ):
        score = call(Bucket="demo-1250000000", Key="sharp.jpg")
        assert set(score) == {
            *("LongImage", "BlackAndWhite", "SmallImage", "BigImage", "PureImage"),
            *("ClarityScore", "AestheticScore", "LowQualityScore", "RequestId"),
        }
        assert 0 < int(score["ClarityScore"]) <= 100
        assert score["LongImage"] == "FALSE"


def test_cos_sdk_raises_its_own_exceptions(demo: Demo) -> None:
    with pytest.raises(CosServiceError) as missing:
        cos_client(demo).ci_image_assess_quality(Bucket="demo-1250000000", Key="none.jpg")
    assert missing.value.get_error_code() == "NoSuchKey"
    assert missing.value.get_request_id()
    with pytest.raises(CosServiceError) as wrong:
        cos_client(demo, "wrong").ci_image_assess_quality(Bucket="demo-1250000000", Key="sharp.jpg")
    assert wrong.value.get_error_code() == "SignatureDoesNotMatch"


def test_a_long_a_grey_and_a_tiny_picture_have_their_flags(demo: Demo) -> None:
    def flags(key: str) -> dict[str, str]:
        return dict(cos_client(demo).ci_image_assess_quality(Bucket="demo-1250000000", Key=key))

    assert flags("long.jpg")["LongImage"] == "TRUE"
    assert flags("grey.jpg")["BlackAndWhite"] == "TRUE"
    tiny = flags("tiny.png")
    assert (tiny["SmallImage"], tiny["ClarityScore"], tiny["BlackAndWhite"]) == ("TRUE", "0", "FALSE")


@pytest.mark.parametrize("version", ["s3v4", "s3"])
@pytest.mark.parametrize("style", ["path", "virtual"])
def test_boto3_puts_gets_lists_and_deletes(demo: Demo, sharp: bytes, version: str, style: str) -> None:
    # An HTTP proxy setting lets an SDK use a host name that nobody resolves: the target arrives in absolute form.
    proxies = {"http": demo.endpoint} if style == "virtual" else None
    endpoint = "http://s3.localhost" if style == "virtual" else ""
    client = s3(demo, endpoint=endpoint, signature_version=version, s3={"addressing_style": style}, proxies=proxies)
    key = f"boto3/{version}/{style} a+b%25//中文.jpg"
    client.put_object(Bucket="demo", Key=key, Body=sharp, ContentType="image/x-jpeg", Metadata={"color": "red"})
    answer = client.get_object(Bucket="demo", Key=key)
    assert (answer["Body"].read(), answer["ContentType"], answer["Metadata"]) == (
        sharp,
        "image/x-jpeg",
        {"color": "red"},
    )
    assert key in {row["Key"] for row in client.list_objects_v2(Bucket="demo", Prefix="boto3/")["Contents"]}
    assert fetched(client.generate_presigned_url("get_object", {"Bucket": "demo", "Key": key}), proxies) == sharp
    client.delete_object(Bucket="demo", Key=key)
    with pytest.raises(ClientError, match="NoSuchKey"):
        client.get_object(Bucket="demo", Key=key)


def test_boto3_is_refused_with_a_wrong_secret(demo: Demo) -> None:
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        s3(demo, "wrong").get_object(Bucket="demo", Key="sharp.jpg")


@pytest.mark.parametrize("process", ["x-oss-process=image/score", "ci-process=AssessQuality"])
def test_a_url_that_botocore_signed_answers_in_the_dialect_of_its_process_parameter(demo: Demo, process: str) -> None:
    name, _, value = process.partition("=")
    request = AWSRequest("GET", f"{demo.endpoint}/demo/sharp.jpg", params={name: value})
    S3SigV4QueryAuth(Credentials(KEY, SECRET), "s3", "us-east-1", expires=600).add_auth(request)
    body = fetched(request.prepare().url)
    if name == "ci-process":
        assert parse(body, XmlLimits()).name == "Response"
    else:
        assert check_oss_score(body) > 0.5


def test_the_sharp_sample_scores_above_its_worse_versions(demo: Demo) -> None:
    bucket = oss_bucket(demo, oss2.Auth(KEY, SECRET))

    def score(key: str) -> float:
        return check_oss_score(bucket.get_object(key, process="image/score").read())

    worse = {key: score(key) for key in ("blurred.jpg", "noisy.jpg", "dark.jpg", "overexposed.jpg", "blocky.jpg")}
    assert max(worse.values()) < score("sharp.jpg"), worse


def test_an_upload_of_a_stream_arrives_whole(demo: Demo) -> None:
    data = bytes(range(256)) * 20_000
    s3(demo).upload_fileobj(io.BytesIO(data), "demo", "stream.bin")
    assert s3(demo).get_object(Bucket="demo", Key="stream.bin")["Body"].read() == data


@pytest.mark.parametrize("auth", oss_auths(), ids=["V1", "V2", "V4"])
def test_oss2_gets_the_neighbours_of_a_score(demo: Demo, sharp: bytes, auth: Any) -> None:
    bucket = oss_bucket(demo, auth)
    info = json.loads(bucket.get_object("sharp.jpg", process="image/info").read())
    assert (info["Format"], info["FileSize"]) == ({"value": "jpg"}, {"value": str(len(sharp))})
    colour = json.loads(bucket.get_object("sharp.jpg", process="image/average-hue").read())["RGB"]
    assert re.fullmatch("0x[0-9a-f]{6}", colour)
    with pytest.raises(oss2.exceptions.OssError) as missing:
        bucket.get_object("sharp.jpg", process="style/none")
    assert (missing.value.status, missing.value.code) == (404, "NoSuchStyle")
    with pytest.raises(oss2.exceptions.OssError) as other:
        bucket.get_object("sharp.jpg", process="image/resize,w_100")
    assert (other.value.status, other.value.code) == (501, "NotImplemented")


@pytest.mark.parametrize("auth", oss_auths(), ids=["V1", "V2", "V4"])
def test_oss2_saves_a_score_as_an_object(demo: Demo, auth: Any) -> None:
    bucket, key = oss_bucket(demo, auth), "scores/中 a+b.json"
    place = f"sys/saveas,o_{oss2.compat.to_string(base64.urlsafe_b64encode(key.encode()))}"
    saved = bucket.process_object("sharp.jpg", f"image/score|{place}")
    assert (saved.bucket, saved.object, saved.process_status) == ("demo", key, "OK")
    data = bucket.get_object(key).read()
    assert (check_oss_score(data) > 0, len(data)) == (True, saved.fileSize)
    bucket.delete_object(key)


def test_oss_sdk_v2_saves_information_as_an_object(demo: Demo) -> None:
    client = oss_v2_client(demo)
    key, name = (base64.urlsafe_b64encode(text).decode().rstrip("=") for text in (b"info.json", b"demo"))
    process = f"image/info|sys/saveas,o_{key},b_{name}"
    saved = client.process_object(oss_v2.ProcessObjectRequest(bucket="demo", key="sharp.jpg", process=process))
    assert (saved.bucket, saved.key, saved.process_status) == ("demo", "info.json", "OK")
    assert saved.file_size == len(s3(demo).get_object(Bucket="demo", Key="info.json")["Body"].read())
    client.delete_object(oss_v2.DeleteObjectRequest(bucket="demo", key="info.json"))


def test_cos_sdk_gets_the_neighbours_of_a_score(demo: Demo, sharp: bytes) -> None:
    client, names = cos_client(demo), {"Bucket": "demo-1250000000", "Key": "sharp.jpg"}
    _, info = client.ci_get_image_info(**names)
    assert (json.loads(info)["format"], json.loads(info)["size"]) == ("jpeg", str(len(sharp)))
    _, colour = client.ci_get_image_ave_info(**names)
    assert re.fullmatch("0x[0-9a-f]{6}", json.loads(colour)["RGB"])
    with pytest.raises(CosServiceError) as missing:
        client.ci_get_image_info(Bucket="demo-1250000000", Key="none.jpg")
    assert missing.value.get_error_code() == "NoSuchKey"
