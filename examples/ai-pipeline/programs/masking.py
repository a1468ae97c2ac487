"""Finds personal data in text and replaces it, also in text that arrives in pieces.

One definition serves both ways: mask(text) is StreamMasker fed once. The text is scanned from the
left; at each position the detectors below are asked in order, and whether one of them matches
there depends on the character before and on at most HORIZON characters after. So a position is
decided as soon as that much text is known, or a character is seen that no match can cross. All
undecided text is held back. The result is therefore the same however the text is cut.
"""

import re

SPACES = " \u00a0\u202f"
HYPHENS = "-\u2010\u2011\u2013"
# Characters besides letters and digits that may stand inside a match.
_INNER = frozenset("._%+@()/" + SPACES + HYPHENS)
# A space ends every match unless one of these precedes it (numbers may contain spaces).
_NUMERIC = frozenset("0123456789+()./" + HYPHENS)

_SEP = "[" + SPACES + re.escape(HYPHENS) + "]"
_PHONE_SEP = "[" + SPACES + re.escape(HYPHENS) + "./]"
_END = r"(?![0-9])"

_EMAIL = re.compile(r"[\w.%+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}")
_SSN = re.compile(rf"(?!000|666|9)[0-9]{{3}}({_SEP})(?!00)[0-9]{{2}}\1(?!0000)[0-9]{{4}}" + _END)
_DE_TAX = re.compile(rf"[1-9][0-9]{_SEP}?[0-9]{{3}}{_SEP}?[0-9]{{3}}{_SEP}?[0-9]{{3}}" + _END)
_FR_NIR = re.compile(
    rf"[12]{_SEP}?[0-9]{{2}}{_SEP}?[0-9]{{2}}{_SEP}?[0-9]{{2}}{_SEP}?[0-9]{{3}}{_SEP}?"
    rf"[0-9]{{3}}{_SEP}?[0-9]{{2}}" + _END)
_ES_DNI = re.compile(rf"[0-9]{{8}}{_SEP}?[A-Za-z](?![A-Za-z0-9])")
_UK_NINO = re.compile(
    rf"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]{_SEP}?[0-9]{{2}}{_SEP}?[0-9]{{2}}{_SEP}?[0-9]{{2}}"
    rf"{_SEP}?[A-D](?![A-Za-z0-9])")
_PHONE_INTERNATIONAL = re.compile(r"(?:\+|00)(?=[1-9])")
_PHONE_NORTH_AMERICA = re.compile(
    rf"(?:1{_PHONE_SEP})?(?:\([0-9]{{3}}\){_PHONE_SEP}?|[0-9]{{3}}{_PHONE_SEP})"
    rf"[0-9]{{3}}{_PHONE_SEP}[0-9]{{4}}" + _END)
# "030 1234567": a zero, at least two digits more, then a separator. Dates do not look so.
_PHONE_TRUNK = re.compile(rf"\(?(?=0[1-9][0-9]{{1,4}}\)?{_PHONE_SEP}[0-9]{{2}})")

# The longest match (an e-mail address: 64 + 1 + 8 * 64 + 24) and the character after it.
HORIZON = 602


def _digits(text):
    return [ord(c) - 48 for c in text if "0" <= c <= "9"]


def luhn_valid(digits):
    total = 0
    for i, d in enumerate(reversed(digits)):
        if i % 2:
            d = d * 2 - 9 if d > 4 else d * 2
        total += d
    return total % 10 == 0


def de_tax_id_valid(digits):
    """German tax number: ISO 7064 MOD 11,10, and one digit repeated among the first ten."""
    if len(digits) != 11 or max(digits[:10].count(d) for d in range(10)) not in (2, 3):
        return False
    product = 10
    for d in digits[:10]:
        total = (d + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == digits[10]


def fr_nir_valid(digits):
    number = int("".join(map(str, digits)))
    return number % 100 == 97 - (number // 100) % 97


def es_dni_valid(text):
    letters = "TRWAGMYFPDXBNJZSQVHLCKE"
    number = int("".join(map(str, _digits(text))))
    return letters[number % 23] == text[-1].upper()


def _digit_groups(text, start, most, separators):
    """Up to `most` digits from `start`, one separator between two of them, two with a parenthesis.

    Returns (digits, ends); ends[n] is the index after digit n.
    """
    digits, ends, i, seen = [], [], start, ""
    while i < len(text) and len(digits) < most:
        if "0" <= text[i] <= "9":
            digits.append(ord(text[i]) - 48)
            ends.append(i + 1)
            seen = ""
        else:
            seen += text[i]
            allowed = 2 if "(" in seen or ")" in seen else 1
            if not digits or text[i] not in separators or len(seen) > allowed:
                break
        i += 1
    return digits, ends


def _longest_end(text, start, least, most, separators, valid=lambda digits: True):
    """The end of the longest valid number that starts here and is not cut inside a digit run."""
    digits, ends = _digit_groups(text, start, most, separators)
    for count in range(len(digits), least - 1, -1):
        end = ends[count - 1]
        if not text[end:end + 1].isdecimal() and valid(digits[:count]):
            return end
    return None


def _card_end(text, start):
    return _longest_end(text, start, 13, 19, SPACES + HYPHENS,
                        lambda digits: any(digits) and luhn_valid(digits))


def _phone_end(text, start):
    m = _PHONE_INTERNATIONAL.match(text, start) or _PHONE_TRUNK.match(text, start)
    if m:
        # A phone number has at most 15 digits. Where numbers follow each other with nothing but
        # separators between, no rule says where one ends, so all of them are masked as one.
        return _longest_end(text, m.end(), 7, 60, SPACES + HYPHENS + "./()")
    m = _PHONE_NORTH_AMERICA.match(text, start)
    return m.end() if m else None


def _national_end(text, start):
    m = _SSN.match(text, start)
    if m:
        return m.end()
    m = _FR_NIR.match(text, start)
    if m and fr_nir_valid(_digits(m.group())):
        return m.end()
    m = _DE_TAX.match(text, start)
    if m and de_tax_id_valid(_digits(m.group())):
        return m.end()
    m = _ES_DNI.match(text, start)
    if m and es_dni_valid(m.group()):
        return m.end()
    return None


def _find_at(text, i):
    """(kind, end) of the match that starts at i, or None."""
    c = text[i]
    before = text[i - 1] if i else ""
    # An address is matched from its first character: later ones were swallowed with it.
    if c.isalnum() or c in "._%+-":
        m = _EMAIL.match(text, i)
        if m:
            return "EMAIL", m.end()
    if "0" <= before <= "9":
        return None
    if "0" <= c <= "9":
        # Before cards: their grouping is stricter, and a card may be followed by anything.
        end = _national_end(text, i)
        if end:
            return "NATIONAL_ID", end
        end = _card_end(text, i)
        if end:
            return "CARD", end
    if "0" <= c <= "9" or c in "+(":
        end = _phone_end(text, i)
        if end:
            return "PHONE", end
    if "A" <= c <= "Z" and not before.isalnum():
        m = _UK_NINO.match(text, i)
        if m:
            return "NATIONAL_ID", m.end()
    return None


def _last_barrier(text):
    """Index after the last character that no match can contain or cross."""
    for i in range(len(text) - 1, -1, -1):
        c = text[i]
        if c in SPACES:
            before = text[:i].rstrip(SPACES)[-2:]
            if not before or before[-1] in _NUMERIC:
                continue
            # "AB 12 34 56 C": two capitals may begin a British number.
            if len(before) == 2 and before.isascii() and before.isupper():
                continue
            return i + 1
        if not c.isalnum() and c not in _INNER and c != "_":
            return i + 1
    return 0


class StreamMasker:
    """Masks text that arrives in pieces; `counts` says how many of each kind were found."""

    def __init__(self):
        self._held = ""
        self._before = ""  # the last character already handed out, for the look back
        self.counts = {}

    def feed(self, piece):
        """Takes the next piece and returns the text that is now certain, masked."""
        self._held += piece
        decided = max(_last_barrier(self._held), len(self._held) - HORIZON)
        return self._scan(decided)

    def flush(self):
        """The end of the text: returns what is left, masked."""
        return self._scan(len(self._held))

    def _scan(self, decided):
        if decided <= 0:
            return ""
        text = self._before + self._held
        i = len(self._before)
        decided += i
        out = []
        while i < decided:
            found = _find_at(text, i)
            if found:
                kind, end = found
                out.append("[" + kind + "]")
                self.counts[kind] = self.counts.get(kind, 0) + 1
                i = end
            else:
                out.append(text[i])
                i += 1
        self._before = text[i - 1]
        self._held = text[i:]
        return "".join(out)


def mask(text):
    """Returns (masked text, {kind: how often})."""
    masker = StreamMasker()
    return masker.feed(text) + masker.flush(), masker.counts


def mask_tree(value, counts, keep=("role", "type", "model", "object", "id", "finish_reason")):
    """Masks every string inside a JSON value, except those under a key of `keep`."""
    if isinstance(value, str):
        masked, found = mask(value)
        for kind, n in found.items():
            counts[kind] = counts.get(kind, 0) + n
        return masked
    if isinstance(value, list):
        return [mask_tree(v, counts, keep) for v in value]
    if isinstance(value, dict):
        return {k: v if k in keep and isinstance(v, str) else mask_tree(v, counts, keep)
                for k, v in value.items()}
    return value
