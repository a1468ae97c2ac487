import random
import unittest

from context import CORPUS

import masking
from masking import StreamMasker, mask, mask_tree


def streamed(pieces):
    masker = StreamMasker()
    return "".join([masker.feed(p) for p in pieces]) + masker.flush()


class Corpus(unittest.TestCase):
    def test_each_text(self):
        for text, masked in CORPUS:
            with self.subTest(text=text):
                self.assertEqual(mask(text)[0], masked)

    def test_masking_twice_changes_nothing(self):
        for text, masked in CORPUS:
            self.assertEqual(mask(masked)[0], masked)

    def test_split_in_two_at_every_character(self):
        for text, masked in CORPUS:
            for i in range(len(text) + 1):
                self.assertEqual(streamed([text[:i], text[i:]]), masked, (text, i))

    def test_split_in_three_at_every_pair_of_characters(self):
        for text, masked in CORPUS:
            for i in range(len(text) + 1):
                for j in range(i, len(text) + 1, 3):
                    self.assertEqual(streamed([text[:i], text[i:j], text[j:]]), masked, (text, i, j))

    def test_character_by_character(self):
        for text, masked in CORPUS:
            self.assertEqual(streamed(text), masked)

    def test_the_whole_corpus_in_random_pieces(self):
        whole = "\n".join(text for text, _ in CORPUS)
        expected = "\n".join(masked for _, masked in CORPUS)
        random.seed(7)
        for _ in range(50):
            cuts = sorted(random.sample(range(len(whole)), 60))
            pieces = [whole[a:b] for a, b in zip([0] + cuts, cuts + [len(whole)])]
            self.assertEqual(streamed(pieces), expected)

    def test_nothing_personal_is_handed_out_early(self):
        secret = "joe@example.com"
        masker = StreamMasker()
        out = ""
        for c in "Hello " + secret + " bye":
            out += masker.feed(c)
            self.assertNotIn("joe", out)


class Streaming(unittest.TestCase):
    def test_plain_words_are_handed_out_with_the_next_space(self):
        masker = StreamMasker()
        self.assertEqual(masker.feed("Once upon"), "Once ")
        self.assertEqual(masker.feed(" a time."), "upon a ")
        self.assertEqual(masker.feed("\n"), "time.\n")

    def test_what_is_held_back_is_bounded(self):
        masker = StreamMasker()
        handed = sum(len(masker.feed("a")) for _ in range(5000))
        self.assertGreaterEqual(handed, 5000 - masking.HORIZON - 1)

    def test_long_words_before_an_address_do_not_hide_it(self):
        out = streamed(["a" * 5000, "@exam", "ple.com"])
        self.assertEqual(out, "a" * (5000 - 64) + "[EMAIL]")

    def test_random_text_is_the_same_however_it_is_cut(self):
        random.seed(11)
        alphabet = "aB1234567890 -+().@/:\nÄ "
        for _ in range(400):
            text = "".join(random.choice(alphabet) for _ in range(random.randrange(80)))
            whole = mask(text)[0]
            self.assertEqual(streamed(text), whole, text)
            i = random.randrange(len(text) + 1)
            self.assertEqual(streamed([text[:i], text[i:]]), whole, (text, i))

    def test_hostile_text_takes_linear_time(self):
        for text in ("+1" * 20000, "a@a." * 10000, "4 " * 20000, "(0" * 20000, "1-" * 20000):
            mask(text)  # finishes; a quadratic scan of these would take minutes

    def test_counts(self):
        masker = StreamMasker()
        masker.feed("joe@example.com ann@exam")
        masker.feed("ple.com 4111 1111 1111 1111")
        masker.flush()
        self.assertEqual(masker.counts, {"EMAIL": 2, "CARD": 1})


class Checksums(unittest.TestCase):
    def test_luhn(self):
        self.assertTrue(masking.luhn_valid([4] + [1] * 15))
        self.assertFalse(masking.luhn_valid([4] + [1] * 14 + [2]))

    def test_every_wrong_last_digit_is_no_tax_number(self):
        for last in range(10):
            digits = [8, 6, 0, 9, 5, 7, 4, 2, 7, 1, last]
            self.assertEqual(masking.de_tax_id_valid(digits), last == 9)

    def test_tax_number_needs_exactly_one_repeated_digit(self):
        self.assertFalse(masking.de_tax_id_valid([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]))


class Tree(unittest.TestCase):
    def test_all_strings_but_the_kept_keys(self):
        counts = {}
        value = {"role": "joe@example.com", "a": ["joe@example.com", {"b": "4111111111111111"}],
                 "n": 5, "none": None}
        self.assertEqual(mask_tree(value, counts),
                         {"role": "joe@example.com", "a": ["[EMAIL]", {"b": "[CARD]"}],
                          "n": 5, "none": None})
        self.assertEqual(counts, {"EMAIL": 1, "CARD": 1})


if __name__ == "__main__":
    unittest.main()
