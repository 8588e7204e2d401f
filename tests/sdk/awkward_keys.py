"""Two hundred names that objects may have and that something on the way may not survive."""

from __future__ import annotations

import unicodedata

MARKS = " +%\"'?#&;=\\<>:@,$!*()[]{}|^`~"

ENCODED_ALREADY = (
    *("%2F", "a%2Fb", "%20", "a%20b", "%%", "%zz", "%25", "a%2525b", "%2B", "a%2Bb c+d", "%00", "%C3%A4", "%E4"),
    *("a%3Fb", "%0A", "..%2F..%2Fb", "%2e%2e/b", "a%"),
)
SLASHES = (
    *("/", "//", "/a", "//a", "a/", "a//", "a//b", "a///b", "a/ /b", " / ", "/a/", "a/b/c/", "folder /file "),
    *("a/ b", "/ a", "a//b//"),
)
DOTS = (
    *(".", "..", "...", "./a", "../a", "a/.", "a/..", "a/./b", "a/../b", "a/.../b", ".a", "a.", "a..", "..a", "/./a"),
    *("/../a", "../../a", "a/b/../../c"),
)
LOOKS_LIKE_SOMETHING_ELSE = (
    *(
        "a?versionId=1",
        "?acl",
        "a?x-oss-process=image/info",
        "a?imageInfo",
        "a&b=c",
        "a#b?c",
        "a;b=c",
        "+ +",
        "a+b c%20d",
    ),
    *("http://example.com/a", "s3://b/k", "-", "--help", "<Key>&amp;</Key>", "&#10;", "]]>", "%s{0}$x", "C:\\x\\y"),
    *("live/a", "v1_1/demo/image/upload", "1.0/check.json", "metrics", ".gateway-parts", ".gateway-partsx/1"),
    *("a/.gateway-parts/1", ".Gateway-Parts/1", ".gateway-parts~", "%2Egateway-parts/1"),
)
_NFC = ("\u00e9", "\u00c5", "\ud55c\uae00", "\u1e69", "\u304c")
WRITINGS = (
    *(f"nfc/{text}" for text in _NFC),
    *(f"nfd/{unicodedata.normalize('NFD', text)}" for text in _NFC),
    *(
        "\u00c5",
        "A\u030a",
        "\u212b",
        "\ufb01",
        "\u2126",
        "stra\u00dfe",
        "\u0130\u0131",
        "\u56fe\u7247.jpg",
        "\u5716 a+b",
    ),
    *(
        "\u0e20\u0e32\u0e1e",
        "\u091a\u093f\u0924\u094d\u0930",
        "\u05e9\u05dc\u05d5\u05dd",
        "\u0645\u0631\u062d\u0628\u0627/a",
    ),
    *("a\u202eb\u202c", "\u200bzero width", "\ufeffa", "a\u00a0b", "a\u3000b", "a\u2028b", "a\u00adb"),
    *("\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1eb\U0001f1f7", "\U0001f44d\U0001f3fd"),
    *("\U0001d49c", "\ue000", "\ufffd", "e\u0301\u0302\u0303"),
)
CONTROLS = ("a\tb", "a\nb", "a\rb", "a\r\nb", "a\x7fb", "a\x85b", "a\x01b", "a\x1fb")
LONG = (
    *("a" * 1024, "\u00e9" * 512, "\U0001f600" * 256, "%" * 1024, "a" + " " * 1022 + "b", "a/" * 511 + "bc"),
    *("b" * 255 + "/" + "c" * 255, "+" * 1024),
)
_OTHERS = (*ENCODED_ALREADY, *SLASHES, *DOTS, *LOOKS_LIKE_SOMETHING_ELSE, *WRITINGS, *CONTROLS, *LONG)
# Each mark in the middle, and the worst of them at either end.
KEYS: tuple[str, ...] = (
    *(f"a{mark}b" for mark in MARKS),
    *(f"{mark}b" for mark in MARKS[:19]),
    *(f"a{mark}" for mark in MARKS[:19] if mark != "%"),
    *_OTHERS,
)
