"""Attributions: what records say in the languages of museums, and what is and is not part of a name."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from artidx.embedder.catalogs import wording
from artidx.embedder.catalogs.attribution import artist_key, attribution, authority, merged
from artidx.embedder.catalogs.letters import folded

fuzz = settings(derandomize=True, database=None, deadline=None, max_examples=60)

# One artist with each qualifier, as written in six languages; the name is always the same person's.
QUALIFIED = {
    "attributed to": [
        "attributed to Jan Steen",
        "Jan Steen (attributed)",
        "Steen, Jan (attributed to)",
        "Jan Steen, attributed to",
        "Attr. to Jan Steen",
        "Ascribed to Jan Steen",
        "Jan Steen zugeschrieben",
        "Jan Steen zugeschr.",
        "Jan Steen (zugeschrieben)",
        "Jan Steen, Zuschreibung",
        "attribué à Jan Steen",
        "Attribuée à Jan Steen",
        "attribuito a Jan Steen",
        "Steen, Jan (attribuito)",
        "toegeschreven aan Jan Steen",
        "Jan Steen (toegeschreven)",
        "atribuido a Jan Steen",
        "(attributed to) Jan Steen",
    ],
    "possibly by": [
        "Jan Steen?",
        "Jan Steen (?)",
        "? Jan Steen",
        "Jan Steen [?]",
        "possibly by Jan Steen",
        "probably Jan Steen",
        "vermutlich Jan Steen",
        "wohl Jan Steen",
        "vielleicht von Jan Steen",
        "peut-être Jan Steen",
        "forse Jan Steen",
        "mogelijk Jan Steen",
        "waarschijnlijk Jan Steen",
        "quizás Jan Steen",
        "Jan Steen (probably)",
    ],
    "workshop of": [
        "Workshop of Jan Steen",
        "studio of Jan Steen",
        "Jan Steen, workshop of",
        "Jan Steen (workshop of)",
        "Jan Steen and Workshop",
        "Jan Steen and studio",
        "Werkstatt des Jan Steen",
        "Jan Steen, Werkstatt",
        "Jan Steen (Werkstatt)",
        "Werkstatt von Jan Steen",
        "Jan Steen und Werkstatt",
        "atelier de Jan Steen",
        "Jan Steen et atelier",
        "bottega di Jan Steen",
        "Jan Steen e bottega",
        "werkplaats van Jan Steen",
        "atelier van Jan Steen",
        "taller de Jan Steen",
        "Jan Steen y taller",
        "Steen, Jan (taller)",
    ],
    "circle of": [
        "Circle of Jan Steen",
        "Jan Steen, circle of",
        "Umkreis des Jan Steen",
        "Jan Steen, Umkreis des",
        "Jan Steen (Umkreis)",
        "Kreis um Jan Steen",
        "entourage de Jan Steen",
        "cercle de Jan Steen",
        "cerchia di Jan Steen",
        "ambito di Jan Steen",
        "kring van Jan Steen",
        "omgeving van Jan Steen",
        "círculo de Jan Steen",
        "entorno de Jan Steen",
    ],
    "follower of": [
        "Follower of Jan Steen",
        "Jan Steen (follower of)",
        "a follower of Jan Steen",
        "Nachfolger des Jan Steen",
        "Jan Steen (Nachfolger)",
        "suiveur de Jan Steen",
        "seguace di Jan Steen",
        "navolger van Jan Steen",
        "volgeling van Jan Steen",
        "seguidor de Jan Steen",
        "attributed to a follower of Jan Steen",
    ],
    "school of": [
        "School of Jan Steen",
        "Jan Steen (school of)",
        "Schule des Jan Steen",
        "Jan Steen, Schule",
        "école de Jan Steen",
        "scuola di Jan Steen",
        "school van Jan Steen",
        "escuela de Jan Steen",
    ],
    "manner of": [
        "Manner of Jan Steen",
        "in the manner of Jan Steen",
        "Style of Jan Steen",
        "Jan Steen (style of)",
        "in der Art des Jan Steen",
        "Art des Jan Steen",
        "Manier des Jan Steen",
        "manière de Jan Steen",
        "à la manière de Jan Steen",
        "dans le goût de Jan Steen",
        "maniera di Jan Steen",
        "alla maniera di Jan Steen",
        "nei modi di Jan Steen",
        "in de stijl van Jan Steen",
        "in de trant van Jan Steen",
        "a la manera de Jan Steen",
        "estilo de Jan Steen",
        "imitator of Jan Steen",
    ],
    "after": [
        "After Jan Steen",
        "Jan Steen (after)",
        "nach Jan Steen",
        "Steen, Jan (nach)",
        "d'après Jan Steen",
        "D’après Jan Steen",
        "naar Jan Steen",
        "según Jan Steen",
        "Pieter de Jong after Jan Steen",
    ],
    "copy after": [
        "Copy after Jan Steen",
        "Jan Steen (copy after)",
        "Kopie nach Jan Steen",
        "copie d'après Jan Steen",
        "copie de Jan Steen",
        "copia da Jan Steen",
        "kopie naar Jan Steen",
        "copia de Jan Steen",
        "copyist of Jan Steen",
    ],
    "pupil of": [
        "Pupil of Jan Steen",
        "Schüler des Jan Steen",
        "élève de Jan Steen",
        "allievo di Jan Steen",
        "leerling van Jan Steen",
        "discípulo de Jan Steen",
    ],
    "formerly attributed to": ["formerly attributed to Jan Steen"],
    "together with": [
        "Jan Steen; Frans Hals",
        "Jan Steen|Frans Hals",
        "Jan Steen and Frans Hals",
        "Jan Steen & Frans Hals",
        "Jan Steen und Frans Hals",
        "Steen, Jan et Hals, Frans",
        "Jan Steen / Frans Hals",
        "Jan Steen et al.",
        "Jan Steen\nFrans Hals",
    ],
}

NOBODY = [
    "unknown",
    "UNKNOWN",
    "Unknown artist",
    "Artist, Unknown",
    "Unknown Flemish painter",
    "anonymous",
    "Anonymous, Flemish",
    "anonymous, Flemish",
    "Anonymous (Flemish School)",
    "Flemish, anonymous",
    "unidentified",
    "Unidentified artist",
    "various",
    "Various Artists",
    "n.n.",
    "N. N.",
    "NN",
    "n/a",
    "Unbekannt",
    "unbekannter Künstler",
    "Unbekannter Meister, 17. Jh.",
    "Anonym",
    "Künstler unbekannt",
    "Verschiedene",
    "Anonyme",
    "anonyme flamand",
    "Artiste inconnu",
    "inconnu",
    "auteur non identifié",
    "divers",
    "ignoto",
    "Ignoto lombardo",
    "pittore ignoto",
    "anonimo",
    "Autore sconosciuto",
    "AA.VV.",
    "autori vari",
    "anoniem",
    "onbekend",
    "onbekende kunstenaar",
    "diversen",
    "desconocido",
    "Anónimo",
    "autor desconocido",
    "varios",
    "no identificado",
    "desconhecido",
    "неизвестен",
    "Неизвестный художник",
    "неизвестный",
    "автор неизвестен",
    "Okänd",
    "ukendt",
    "ukjent",
    "tuntematon",
    "nieznany",
    "neznámý",
    "ismeretlen",
    "άγνωστος",
    "bilinmeyen",
    "佚名",
    "作者不詳",
    "不明",
    "작자 미상",
    "לא ידוע",
    "Flemish School",
    "Italian (Venetian) painter",
    "French, 18th century",
    "Japanese",
    "Scuola veneziana",
    "École française",
    "Deutsch, 16. Jh.",
    "?",
    "",
    "   ",
    "-",
    ",",
    "()",
    "[unknown]",
    "(unknown)",
    "1840-1926",
    "\u200b",
    "\u3164",
    "\ufeff \u00ad",
    "none",
    "null",
    "workshop of unknown master",
    "Kölner Meister um 1500",
    "неизвестный русский художник",
    "未知",
    "无名",
    "Anonyymi",
    "Óþekktur",
    "Không rõ",
    "Tidak diketahui",
    "अज्ञात",
    "ไม่ทราบ",
    "نامعلوم",
    "Unkown artist",
    "unsigned",
    "No name",
    "ohne Zuschreibung",
    "Non renseigné",
    "sin atribución",
    "אמן לא ידוע",
    "i panjohur",
    "Brak danych",
    "xxx",
]

SOMEBODY = [  # words that mean something else in a name
    "Nan Goldin",
    "Otto Kreis",
    "Garfunkel, Art",
    "Art Garfunkel",
    "Daniel Chester French",
    "French, Daniel Chester",
    "Hals, Frans",
    "Opalka, Roman",
    "Hans Maler",
    "Maler, Hans",
    "Ernst Meister",
    "Veronese",
    "El Greco",
    "Studio Drift",
    "Wohl, Ivan",
    "Master of the Female Half-Lengths",
    "Meister der Heiligen Sippe",
    "Master of 1518",
    "Gilbert and George",
    "Osservanza Master",
    "Master of Saint Cosmas and Saint Damian",
    "Diego Rodríguez de Silva y Velázquez",
    "Francisco de Goya y Lucientes",
    "José Ortega y Gasset",
    "Tara",
    "D",
    "X",
    "Monet, C.",
    "Velázquez, D.",
    "Leonardo da Vinci",
    "Andrea del Sarto",
    "葛飾北斎",
    "artist 0012",
    "artist 12",
]


@pytest.mark.parametrize(("qualifier", "record"), [(q, r) for q, records in QUALIFIED.items() for r in records])
def test_a_qualified_record_says_whose_name_and_how_and_speaks_for_nobody(qualifier: str, record: str) -> None:
    found = attribution(record)
    assert found.qualifier == qualifier
    assert artist_key(found.name) == "jan steen"
    assert artist_key(record) is None
    assert found.record == record


@pytest.mark.parametrize("record", NOBODY)
def test_nobody_is_nobody_in_every_language(record: str) -> None:
    assert attribution(record).name is None
    assert artist_key(record) is None


@pytest.mark.parametrize("record", SOMEBODY)
def test_a_name_that_has_such_words_in_it_is_a_name(record: str) -> None:
    assert attribution(record).speaks
    assert artist_key(record) is not None


@pytest.mark.parametrize(
    ("record", "nationality", "born", "died"),
    [
        ("Claude Monet (French, 1840-1926)", "french", 1840, 1926),
        ("Monet, Claude, 1840–1926", None, 1840, 1926),
        ("Claude Monet\nFrench, 1840–1926", "french", 1840, 1926),
        ("Artist: Claude Monet (French, 1840–1926)", "french", 1840, 1926),
        ("Claude Monet 1840-1926", None, 1840, 1926),
        ("Claude Monet, French, b. 1840", "french", 1840, None),
        ("Monet, Claude [französisch, 1840 Paris - 1926 Giverny]", "franzosisch", 1840, 1926),
        ("Claude Monet (French, 1840", "french", 1840, None),
        ("[Claude Monet]", None, None, None),
        ("Claude Monet, French", "french", None, None),
        ("Claude Monet (active 1860s)", None, None, None),
    ],
)
def test_dates_nationality_and_asides_are_no_part_of_a_name(
    record: str, nationality: str | None, born: int | None, died: int | None
) -> None:
    found = attribution(record)
    assert artist_key(record) == "claude monet"
    assert (found.nationality, found.born, found.died) == (nationality, born, died)


@pytest.mark.parametrize(
    "record",
    [
        "Claude Monet (French; Paris 1840–1926 Giverny)",
        "Monet, Claude [1840 | 1926]",
        "Claude Monet (Paris / Giverny)",
        "Claude Monet «1840-1926»",
        "by Claude Monet",
        "Painted by Claude Monet (French)",
    ],
)
def test_what_parts_two_artists_parts_nothing_within_a_bracket_and_no_name_is_lost_to_its_signs(record: str) -> None:
    assert artist_key(record) == "claude monet"


def test_a_bracket_that_is_not_closed_does_not_hide_the_next_line() -> None:
    assert attribution("Claude Monet (French, 1840\nEdgar Degas (French, 1834").others == ("Edgar Degas",)


def test_father_and_son_are_told_apart_by_any_part_of_a_bracket() -> None:
    for elder, younger in (
        ("the Elder, 1465-1524", "the Younger, 1497-1543"),
        ("der Ältere", "der Jüngere"),
        ("German; the Elder", "German; the Younger"),
    ):
        assert len({artist_key(f"Hans Holbein{aside}") for aside in ("", f" ({elder})", f" ({younger})")}) == 3


@pytest.mark.parametrize(
    ("written", "typed"),
    [
        ("Vilhelm Hammershøi", "Vilhelm Hammershoi"),
        ("STANISŁAW WYSPIAŃSKI", "stanislaw wyspianski"),
        ("Đuro Đaković", "Duro Dakovic"),
        ("Akseli Gallén Æsir", "Akseli Gallen Aesir"),
        ("Þórarinn", "Thorarinn"),
        ("Hoca Ali Rıza", "Hoca Ali Riza"),
        ("Gœthals", "Goethals"),
    ],
)
def test_a_letter_that_a_keyboard_lacks_is_written_plain(written: str, typed: str) -> None:
    assert artist_key(written) == artist_key(typed)
    assert folded(folded(written)) == folded(written)


def test_every_word_that_is_looked_for_is_written_as_it_is_compared() -> None:
    looked_for = [
        *wording.NOBODY,
        *wording.NATIONALITIES,
        *wording.ROLES,
        *wording.PERIODS,
        *wording.PREPOSITIONS,
        *wording.SCHOOLS,
        *(word for phrase in wording.PHRASES for word in phrase),
    ]
    assert [word for word in looked_for if folded(word) != word] == []


def test_father_and_son_stay_two_whatever_the_order() -> None:
    elder = [
        "Pieter Bruegel the Elder",
        "Bruegel, Pieter, the Elder",
        "Bruegel the Elder, Pieter",
        "Pieter Bruegel (the Elder)",
        "Bruegel, Pieter (the Elder) (Netherlandish, 1525-1569)",
    ]
    assert {artist_key(name) for name in elder} == {"pieter bruegel the elder"}
    assert artist_key("Jan Brueghel (I)") == artist_key("Brueghel, Jan, I") != artist_key("Jan Brueghel (II)")


def test_the_others_of_a_joint_work_are_kept() -> None:
    assert attribution("Peter Paul Rubens; Jan Brueghel; Peter Paul Rubens").others == ("Jan Brueghel",)
    assert attribution("Vincent van Gogh|Vincent van Gogh").speaks
    for record in ("Jan Brueghel the Elder and Peter Paul Rubens", "Jan Brueghel d. Ä. und Peter Paul Rubens"):
        assert attribution(record).others == ("Peter Paul Rubens",)
    assert attribution("David Teniers after Titian").others == ("David Teniers",)


def test_a_title_of_honour_is_no_part_of_a_name() -> None:
    assert (
        artist_key("Reynolds, Joshua, Sir") == artist_key("Sir Joshua Reynolds") == artist_key("Reynolds, Sir Joshua")
    )


letters = st.text(st.sampled_from("bcdfghklmnprstvwzBCDFGHKLMNPRSTVWZéüñøßÉÅжЖ"), min_size=4, max_size=8)
names = st.builds("{}on {}ov".format, letters, letters)
# anything in brackets, except remarks that the work is not simply the artist's
BRACKETS = "()[]{}<>?？（）［］｛｝〈〉《》【】〔〕;|\n"


def is_aside(text: str) -> bool:
    """Whether a text neither qualifies the attribution nor names the artist as father or son."""
    found = attribution(f"Jan Steen ({text})")
    return found.qualifier is None and found.name == "Jan Steen"


asides = st.text(st.characters(codec="utf-8", exclude_characters=BRACKETS), max_size=30).filter(is_aside)


@fuzz
@given(names, asides, st.sampled_from(["()", "[]", "{}", "（）", "【】"]))
@example("Claude Monet", "unknown", "()")
@example("Claude Monet", "French; 1840\u20131926", "[]")
def test_whatever_stands_in_brackets_is_no_part_of_a_name(name: str, aside: str, brackets: str) -> None:
    assert artist_key(f"{name} {brackets[0]}{aside}{brackets[1]}") == artist_key(name) is not None


@fuzz
@given(
    names,
    st.sampled_from(["\u200b", "\u00ad", "\ufeff", "\u2060", "\u200d", "\u034f", "\u3164", "\ufe0f", "\u061c"]),
    st.integers(0, 8),
)
def test_what_cannot_be_seen_is_no_part_of_a_name(name: str, hidden: str, place: int) -> None:
    assert artist_key(name[:place] + hidden + name[place:]) == artist_key(name)


@fuzz
@given(names, st.sampled_from(["\u00a0", "\u2003", "\t", "  ", "\u3000", "."]))
def test_case_accents_blanks_and_composition_do_not_matter(name: str, blank: str) -> None:
    for variant in (
        name.upper(),
        name.lower(),
        name.replace(" ", blank),
        f" {name}\u00a0",
        unicodedata.normalize("NFD", name),
        folded(name),
    ):
        assert artist_key(variant) == artist_key(name)


@fuzz
@given(
    names,
    st.sampled_from([record for records in QUALIFIED.values() for record in records if "Steen, Jan" not in record]),
)
def test_any_name_can_be_qualified(name: str, record: str) -> None:
    found = attribution(record.replace("Jan Steen", name))
    assert (artist_key(found.name), found.qualifier) == (artist_key(name), attribution(record).qualifier)


@fuzz
@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(
            [
                "(",
                ")",
                ",",
                ";",
                "|",
                "after",
                "of",
                "workshop",
                "and",
                "the",
                "?",
                "Rubens",
                "Jan",
                "unknown",
                "1600",
                "-",
                "d'",
                "&",
                "\n",
            ]
        ),
        max_size=12,
    ).map(" ".join)
)
@example("&")  # once an IndexError, which stopped a build
def test_any_text_is_an_attribution_and_its_key_is_its_own(text: str) -> None:
    found = attribution(text)
    key = artist_key(text)
    assert found.record == text
    assert artist_key(key) == key
    assert key is None or found.speaks


def test_a_record_without_end_is_read_in_no_time() -> None:
    for part in ("(", "a, ", "after ", "of the ", "; x", "Jan and ", "1600 "):
        attribution(part * 100_000)


def test_a_number_of_an_authority_file_makes_one_artist_of_several_names() -> None:
    keys = ["claude monet", "oscar claude monet", "manet", None, "oscar claude monet"]
    ids = ["http://vocab.getty.edu/ulan/500019484", "500019484/", "Q40599", "500019484", None]
    assert merged(keys, ids) == ["claude monet", "claude monet", "manet", None, "claude monet"]


@pytest.mark.parametrize(
    ("id_", "known"),
    [
        ("http://www.wikidata.org/entity/Q296", "q296"),
        ("Q296", "q296"),
        ("500019484|500010879", None),
        ("", None),
        ("0", None),
        (None, None),
        (float("nan"), None),
    ],
)
def test_a_number_is_compared_without_its_address(id_: object, known: str | None) -> None:
    assert authority(id_) == known
