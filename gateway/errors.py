"""Every error a client can see, as one table. Knows the codes of the vendors; must not know requests or XML."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One client-visible error: HTTP status, the S3 code, the message, and what other vendors call it."""

    status: int
    code: str
    message: str
    oss: str = ""  # Aliyun's code where it differs
    cos: str = ""  # Tencent's code where it differs
    ec: str = ""  # Aliyun's error number where it is published
    retry_after_s: int = 0  # sent as Retry-After when positive

    def code_for(self, dialect: str) -> str:
        """Return the code that the dialect (`s3`, `oss` or `cos`) uses for this error."""
        own = {"oss": self.oss, "cos": self.cos}.get(dialect, "")
        return own or self.code


class ApiError(Exception):
    """A refusal that the client sees.

    `detail` is for the log only. `message` replaces the kind's own sentence and may name limits and figures; it
    is shown to the client, so it never holds a secret. `fields` are extra elements of an XML error body, `headers`
    extra headers of the answer.
    """

    def __init__(
        self,
        kind: ErrorKind,
        detail: str = "",
        *,
        message: str = "",
        fields: tuple[tuple[str, str], ...] = (),
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(f"{kind.code}: {detail or message or kind.message}")
        self.kind = kind
        self.detail = detail
        self.message = message or kind.message
        self.fields = fields
        self.headers = headers


# Who asks
ACCESS_DENIED = ErrorKind(403, "AccessDenied", "Access Denied.")
INVALID_ACCESS_KEY_ID = ErrorKind(
    403,
    "InvalidAccessKeyId",
    "The access key id you provided does not exist in our records.",
    ec="0002-00000902",
)
SIGNATURE_DOES_NOT_MATCH = ErrorKind(
    403,
    "SignatureDoesNotMatch",
    "The request signature we calculated does not match the signature you provided. Check your key and signing method.",
    ec="0002-00000040",
)
REQUEST_TIME_TOO_SKEWED = ErrorKind(
    403,
    "RequestTimeTooSkewed",
    "The difference between the request time and the current time is too large.",
)
REQUEST_EXPIRED = ErrorKind(403, "AccessDenied", "Request has expired.")
REQUEST_NOT_YET_VALID = ErrorKind(403, "AccessDenied", "Request is not valid yet.")
MISSING_DATE = ErrorKind(403, "AccessDenied", "A valid Date or x-amz-date, x-oss-date header is required.")
INVALID_TOKEN = ErrorKind(403, "InvalidToken", "The security token is missing or wrong.", oss="InvalidSecurityToken")
EXPIRED_TOKEN = ErrorKind(403, "ExpiredToken", "The temporary credentials have expired.", oss="SecurityTokenExpired")
PROCESS_NOT_COVERED = ErrorKind(
    403, "AccessDenied", "The signature does not cover the processing parameter, so it is refused."
)
AUTHORIZATION_HEADER_MALFORMED = ErrorKind(
    400,
    "AuthorizationHeaderMalformed",
    "The authorization header is malformed.",
    oss="InvalidArgument",
    cos="InvalidArgument",
)
AUTHORIZATION_QUERY_MALFORMED = ErrorKind(
    400,
    "AuthorizationQueryParametersError",
    "The authorization query parameters are malformed.",
    oss="InvalidArgument",
    cos="InvalidArgument",
)
UNSUPPORTED_AUTHORIZATION = ErrorKind(400, "InvalidArgument", "Unsupported Authorization Type.")
MULTIPLE_CLAIMS = ErrorKind(400, "InvalidArgument", "Only one auth mechanism is allowed; the request carries several.")

# What is asked
INVALID_ARGUMENT = ErrorKind(400, "InvalidArgument", "Invalid Argument.")
INVALID_REQUEST = ErrorKind(400, "InvalidRequest", "Invalid Request.")
INVALID_URI = ErrorKind(400, "InvalidURI", "Could not parse the specified URI.")
INVALID_BUCKET_NAME = ErrorKind(400, "InvalidBucketName", "The specified bucket is not valid.")
CONFLICTING_PROCESS = ErrorKind(400, "InvalidArgument", "x-oss-process and ci-process may not be used in one request.")
NO_ACTION = ErrorKind(400, "InvalidArgument", "The process names no action.", ec="0040-00000212")
UNKNOWN_ACTION = ErrorKind(400, "InvalidArgument", "The process names an unknown action.", ec="0040-00000213")
NO_SUCH_STYLE = ErrorKind(404, "NoSuchStyle", "The specified style does not exist.")
METHOD_NOT_ALLOWED = ErrorKind(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
NOT_IMPLEMENTED = ErrorKind(
    501, "NotImplemented", "A header or parameter you provided implies functionality that is not implemented."
)
MALFORMED_XML = ErrorKind(400, "MalformedXML", "The XML you provided was not well-formed or not what is expected here.")
MISSING_CONTENT_LENGTH = ErrorKind(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
CONTENT_SHA256_MISMATCH = ErrorKind(
    400,
    "XAmzContentSHA256Mismatch",
    "The provided 'x-amz-content-sha256' header does not match what was computed.",
)
INVALID_DIGEST = ErrorKind(400, "InvalidDigest", "The Content-MD5 you specified is not valid.")
MALFORMED_TRAILER = ErrorKind(
    400,
    "MalformedTrailerError",
    "The request contained trailing data that was not well-formed or did not conform to our published schema.",
)
BAD_DIGEST = ErrorKind(400, "BadDigest", "The Content-MD5 or checksum you specified did not match the body.")
MALFORMED_POST_REQUEST = ErrorKind(
    400, "MalformedPOSTRequest", "The body of your POST request is not well-formed multipart/form-data."
)
MAX_POST_PRE_DATA_LENGTH_EXCEEDED = ErrorKind(
    400,
    "MaxPostPreDataLengthExceededError",
    "Your POST request fields preceding the upload file were too large.",
)
INVALID_POLICY_DOCUMENT = ErrorKind(
    400,
    "InvalidPolicyDocument",
    "The content of the form does not meet the conditions specified in the policy document.",
)
ENTITY_TOO_LARGE = ErrorKind(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size.")
ENTITY_TOO_SMALL = ErrorKind(
    400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed object size."
)
REQUEST_TIMEOUT = ErrorKind(400, "RequestTimeout", "The request body was not sent within the timeout period.")
SLOW_DOWN = ErrorKind(503, "SlowDown", "Please reduce your request rate.", oss="QpsLimitExceeded", retry_after_s=1)
INCOMPLETE_BODY = ErrorKind(
    400,
    "IncompleteBody",
    "You did not provide the number of bytes specified by the Content-Length header.",
)

# What the vendors' own APIs say
NO_SUCH_RESOURCE = ErrorKind(404, "NotFound", "Resource not found.")
NO_SUCH_CLOUD = ErrorKind(401, "Unauthorized", "Invalid cloud_name.")
ALREADY_EXISTS = ErrorKind(409, "AlreadyExists", "The asset already exists.")
ASSET_CHANGED = ErrorKind(409, "AssetChanged", "The asset was changed by somebody else meanwhile. Please try again.")
MODEL_NOT_AVAILABLE = ErrorKind(403, "ModelNotAvailable", "This model is not available here.")
ALLOWANCE_SPENT = ErrorKind(429, "TooManyRequests", "The allowance of this key is spent.")

# What the store says
NO_SUCH_KEY = ErrorKind(404, "NoSuchKey", "The specified key does not exist.", ec="0026-00000001")
NO_SUCH_BUCKET = ErrorKind(404, "NoSuchBucket", "The specified bucket does not exist.", ec="0015-00000101")
NO_SUCH_VERSION = ErrorKind(404, "NoSuchVersion", "The specified version does not exist.")
NO_SUCH_UPLOAD = ErrorKind(
    404,
    "NoSuchUpload",
    "The specified upload does not exist. Its ID may be invalid, or it may have been aborted or completed.",
)
INVALID_PART = ErrorKind(
    400,
    "InvalidPart",
    "One or more of the specified parts could not be found, or its entity tag does not match the part's entity tag.",
)
INVALID_PART_ORDER = ErrorKind(400, "InvalidPartOrder", "The list of parts was not in ascending order of part numbers.")
INVALID_OBJECT_STATE = ErrorKind(
    403, "InvalidObjectState", "The operation is not valid for the object's storage class."
)
PRECONDITION_FAILED = ErrorKind(
    412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold."
)
# What becomes of a failed `forbid-overwrite`, which S3 knows as a condition
FILE_ALREADY_EXISTS = ErrorKind(409, "FileAlreadyExists", "The object you specified already exists.")
UPSTREAM_UNREACHABLE = ErrorKind(
    503, "ServiceUnavailable", "The store behind this gateway cannot be reached.", retry_after_s=5
)
# It has failed again and again, and is not even asked
UPSTREAM_LEFT_ALONE = ErrorKind(
    503, "ServiceUnavailable", "The store behind this gateway is in trouble. Please retry.", retry_after_s=2
)
UPSTREAM_BROKEN = ErrorKind(502, "BadGateway", "The store behind this gateway broke off its answer.", retry_after_s=1)
UPSTREAM_TIMEOUT = ErrorKind(
    504, "GatewayTimeout", "The store behind this gateway did not answer in time.", retry_after_s=5
)

# What the picture is
NOT_AN_IMAGE = ErrorKind(
    400,
    "InvalidArgument",
    "The object is not an image in a supported format.",
    cos="InvalidImageFormat",
)
IMAGE_DAMAGED = ErrorKind(400, "InvalidArgument", "The image is damaged or truncated.", cos="InvalidImageFormat")
IMAGE_TOO_LARGE = ErrorKind(400, "ImageTooLarge", "The image exceeds a limit of this gateway.", ec="0040-00000012")
IMAGE_SIDE_TOO_LONG = ErrorKind(400, "ImageTooLarge", "A side of the image is too long.", ec="0040-00000019")
IMAGE_FILE_TOO_LARGE = ErrorKind(400, "ImageTooLarge", "The image's file is too large.", ec="0056-00000002")
SCORING_TOO_SLOW = ErrorKind(400, "ImageTooLarge", "Scoring the image took longer than this gateway allows.")
SCORERS_BUSY = ErrorKind(
    503, "SlowDown", "All scorers are busy. Please retry.", oss="ServiceUnavailable", retry_after_s=1
)
SCORER_DIED = ErrorKind(500, "InternalError", "The scorer failed on this image.")

# What a client's URL names
URL_NOT_ALLOWED = ErrorKind(400, "InvalidUrl", "The URL is not one that this gateway fetches.")
URL_UNREACHABLE = ErrorKind(400, "UrlUnreachable", "The URL could not be fetched.")
URL_NOT_AN_IMAGE = ErrorKind(400, "UrlNotAnImage", "The URL names no image.")
URL_TOO_LARGE = ErrorKind(400, "UrlTooLarge", "What the URL names is too large.")

# What we are
INTERNAL_ERROR = ErrorKind(500, "InternalError", "We encountered an internal error. Please try again.")
LEDGER_FAILED = ErrorKind(
    503, "ServiceUnavailable", "What this gateway remembers cannot be reached. Please retry.", retry_after_s=5
)
DISK_FULL = ErrorKind(
    503,
    "ServiceUnavailable",
    "This gateway has no room to keep the request's body. Please retry, or send it with a Content-Length.",
    retry_after_s=5,
)
SHUTTING_DOWN = ErrorKind(503, "ServiceUnavailable", "This gateway is shutting down. Please retry.", retry_after_s=1)

_STORE_KINDS = {
    kind.code: kind
    for kind in (
        ACCESS_DENIED,
        NO_SUCH_KEY,
        NO_SUCH_BUCKET,
        NO_SUCH_VERSION,
        NO_SUCH_UPLOAD,
        INVALID_PART,
        INVALID_PART_ORDER,
        INVALID_OBJECT_STATE,
        PRECONDITION_FAILED,
    )
}
# Headers that belong to an error's meaning: the true size beside a 416, when to come back after a 503.
_EXPLAINING = frozenset({"allow", "content-range", "retry-after"})
_BARE_STATUS = {403: ACCESS_DENIED, 404: NO_SUCH_KEY, 412: PRECONDITION_FAILED, 501: NOT_IMPLEMENTED}


def from_store(status: int, code: str, message: str, headers: tuple[tuple[str, str], ...] = ()) -> ApiError:
    """Turn the store's own error into ours, keeping its status, code and message, and the headers that explain it.

    `code` may be empty (a HEAD has no body): the status then decides. A store's 5xx keeps its code too, so that
    a client's retry rules still apply. `headers` are all the store's, in any spelling.
    """
    if status < 400:  # a redirect, say, to where this client has no business
        return ApiError(UPSTREAM_BROKEN, f"store answered {status}")
    told = tuple((name, value) for name, value in headers if name.lower() in _EXPLAINING)
    if not code:
        kind = _BARE_STATUS.get(status) or ErrorKind(status, "InternalError" if status >= 500 else "BadRequest", "")
        message = message or f"The store answered {status}."
        return ApiError(kind, f"store answered {status}", message=message, headers=told)
    known = _STORE_KINDS.get(code)
    kind = known if known and known.status == status else ErrorKind(status, code, message)
    return ApiError(kind, f"store answered {status} {code}", message=message, headers=told)
