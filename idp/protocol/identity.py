"""One normal form for what people are called: e-mail addresses and usernames.

Every identity has two faces. `display` is what people see and where mail goes; `key` is what is unique and
what is looked up. Two spellings with one key are one account: case, full-width letters, composed and
decomposed accents, a domain in Unicode or in Punycode. Plus-addresses and letters that merely look alike, as
the dotless i does, keep keys of their own.

Mail about an account goes to the `display` that was stored with it, never to what was typed to find it: a
mailbox whose name folds onto another's key must not receive the other's reset link.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache

import idna

USERNAME_LENGTH = 64
"""Most characters of a username."""

EMAIL_LENGTH = 254
"""Most characters of an e-mail address: the path of RFC 5321 §4.5.3.1.3 without its angle brackets."""

_TYPED_LENGTH = 1024  # well above what any identity normalises from, low enough to be normalised in no time

# PostgreSQL stores neither, UTF-8 has no place for the second. As U+FFFD they are part of no identity.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")

# Default_Ignorable_Code_Point (UAX #44), as far as these are letters or marks: they leave no trace to see.
# U+FFFD is here because it stands for _UNSTORABLE.
_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\ufffd\U000e0100-\U000e01ef]"
)

# Scripts that one writing system mixes (UTS #39 §5.1, "augmented script sets"); all others stand alone.
_WRITING_SYSTEMS = (
    frozenset({"HAN", "HIRAGANA", "KATAKANA"}),
    frozenset({"HAN", "HANGUL"}),
    frozenset({"HAN", "BOPOMOFO"}),
)
_SHARED_SCRIPTS = frozenset({"COMMON", "INHERITED"})
_USERNAME_PUNCTUATION = frozenset("._-")
_USERNAME_CATEGORIES = frozenset({"Ll", "Lu", "Lt", "Lm", "Lo", "Mn", "Mc", "Nd"})


class InvalidIdentity(ValueError):  # noqa: N818 - an answer rather than an error
    """This text cannot name an account. The message is one sentence for whoever typed it."""


class InvalidEmail(InvalidIdentity):
    """It is no e-mail address, or none that we take."""


class InvalidUsername(InvalidIdentity):
    """It is no username."""


@dataclass(frozen=True, slots=True)
class Email:
    """An e-mail address: `display` as written to, `key` as looked up."""

    display: str
    key: str


@dataclass(frozen=True, slots=True)
class Username:
    """A username: `display` as shown, `key` as looked up."""

    display: str
    key: str


def parse_email(text: str) -> Email:
    """The address in normal form. Its syntax is checked, not whether it receives mail.

    Raises InvalidEmail.
    """
    import email_validator  # slow to import, and no login needs it

    _admit_private_domains()
    typed = _compatible(text, EMAIL_LENGTH, "An e-mail address", InvalidEmail)
    try:
        # Without `globally_deliverable` a domain of one label will do: admin@localhost.
        valid = email_validator.validate_email(typed, check_deliverability=False, globally_deliverable=False)
    except email_validator.EmailNotValidError as problem:
        raise InvalidEmail(str(problem)) from problem
    if _INVISIBLE.search(valid.normalized):
        raise InvalidEmail("An e-mail address cannot contain invisible characters.")
    return Email(valid.normalized, f"{_fold(valid.local_part)}@{valid.ascii_domain}")


@cache
def _admit_private_domains() -> None:
    """Lets domains name people that cannot get mail from the Internet (RFC 6761, RFC 6762): on a developer's machine,
    in tests and on private networks. The library's documented knob is a list of its own, so once is enough."""
    import email_validator

    special = email_validator.SPECIAL_USE_DOMAIN_NAMES
    special[:] = [name for name in special if name not in {"local", "localhost", "test"}]


def parse_username(text: str) -> Username:
    """The username in normal form: letters and digits of one script with . _ - between them.

    Raises InvalidUsername.
    """
    display = _compatible(text, USERNAME_LENGTH, "A username", InvalidUsername)
    key = _fold(display)
    if _INVISIBLE.search(key) or not all(map(_may_be_in_username, key)):
        raise InvalidUsername("A username consists of letters, digits and the characters . _ - only.")
    if unicodedata.category(key[0]) not in {"Ll", "Lt", "Lm", "Lo", "Nd"}:
        raise InvalidUsername("A username starts with a letter or a digit.")
    if not _is_one_writing_system(key):
        raise InvalidUsername("A username keeps to the letters of one script: look-alikes would deceive people.")
    return Username(display, key)


def login_key(text: str) -> str:
    """The key under which to look for the account that `text`, as typed at a login, names.

    Never raises and never validates: a text that names nobody gets a key that nobody has.
    """
    typed = _UNSTORABLE.sub("\ufffd", text.strip()[:_TYPED_LENGTH])
    if typed.isascii():
        return typed.lower()  # what all the rest comes down to, for nearly everyone
    local, at, domain = unicodedata.normalize("NFKC", typed).rpartition("@")
    return f"{_fold(local)}@{_domain_key(domain)}" if at else _fold(domain)


def _compatible(text: str, longest: int, what: str, refusal: type[InvalidIdentity]) -> str:
    """The compatibility form (NFKC), so that nothing is ever shown full-width, stylised or decomposed."""
    typed = text.strip()
    if not typed:
        raise refusal(f"{what} cannot be empty.")
    # Before normalising, which takes quadratic time at worst; a decomposition is at most four times as long.
    if len(typed) > 4 * longest or len(normal := unicodedata.normalize("NFKC", typed)) > longest:
        raise refusal(f"{what} has at most {longest} characters.")
    return normal


def _fold(text: str) -> str:
    """Caseless compatibility form. Either step can make work for the other, so until nothing changes."""
    while (folded := unicodedata.normalize("NFKC", text.casefold())) != text:
        text = folded
    return text


def _domain_key(domain: str) -> str:
    """The domain as the DNS knows it. Unlike case folding, IDNA keeps `faß.de` and `fass.de` apart."""
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except UnicodeError:
        return _fold(domain)


def _may_be_in_username(character: str) -> bool:
    return character in _USERNAME_PUNCTUATION or unicodedata.category(character) in _USERNAME_CATEGORIES


def _is_one_writing_system(text: str) -> bool:
    from confusable_homoglyphs import categories  # as email_validator

    scripts = categories.unique_aliases(text) - _SHARED_SCRIPTS
    return len(scripts) <= 1 or any(scripts <= system for system in _WRITING_SYSTEMS)
