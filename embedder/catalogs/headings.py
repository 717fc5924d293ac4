"""Recognise the columns of a table by the headings that collection systems and museums' open data use.

TMS, MuseumPlus, Axiell and Adlib, CollectiveAccess, PastPerfect; the open data of the Metropolitan Museum, the
Rijksmuseum, the National Gallery of Art and the Art Institute of Chicago; and what people write themselves, in the
languages of museums. A heading is compared without case, accents and signs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from .letters import folded

# Our column -> headings, best first.
HEADINGS: dict[str, tuple[str, ...]] = {
    name: tuple(words.split(", "))
    for name, words in {
        "path": "filename, file, image, path, new filename, file name, image path, filepath, img, image file, "
        "image filename, "
        "image file name, photo file, photo filename, photograph file, photo, photograph, photos, images, "
        "media file, "
        "media filename, media, digital file, digital asset, picture, scan, renderings, primary image file, "
        "dateiname, "
        "datei, bild, bilddatei, bildname, bilddateiname, foto, fotodatei, abbildung, multimedia, "
        "multimedia dateiname, "
        "fichier, nom de fichier, nom du fichier, image fichier, photographie, nome file, nome del file, "
        "immagine, "
        "fotografia, fichero, archivo, nombre de archivo, imagen, bestand, bestandsnaam, afbeelding, "
        "reproductie, "
        "reproduction reference, reproductiereferentie, ficheiro, arquivo, imagem, файл, имя файла, изображение, "
        "фото, ca object representations, ca object representations original filename, "
        "ca object representations media original filename, nom fichier image, representation, "
        "ファイル, ファイル名, 画像",
        "artist": "artist, author, painter, artist name, creator, maker, artist display name, artist maker, "
        "artist title, "
        "artist or maker, artist maker name, artists, display artist, displayartist, artist display, "
        "attribution, "
        "artist attribution, attributed artist, artist alpha sort, artistalphasort, artistdisplayname, "
        "artist creator, creator name, creators, maker name, makers, makersname, principal maker, "
        "principalmaker, "
        "principal or first maker, principalorfirstmaker, principalmakers, constituent, constituents, "
        "constituent name, display name, preferred name, attributioninverted, forwarddisplayname, person, "
        "people, artist full name, full name, entities, entity, ca entities, ca entities displayname, "
        "ca entities preferred labels, ca entities preferred labels displayname, kunstler, kunstlerin, "
        "kunstler in, "
        "kunstlername, kunstlerinnen, kunstler innen, maler, malerin, urheber, urheberin, autor, hersteller, "
        "beteiligte, beteiligte person, beteiligte personen, personen korperschaften, hersteller kunstler, "
        "person kunstler, name des kunstlers, schopfer, zuschreibung, artiste, auteur, auteurs, "
        "auteur executant, "
        "peintre, createur, nom de l artiste, nom de l auteur, artista, autore, autori, pittore, nome autore, "
        "nome artista, autn, kunstenaar, vervaardiger, maker naam, schilder, schrijver, naam vervaardiger, "
        "naam kunstenaar, kunstenaars, pintor, autora, autor a, autores, artistas, autor obra, "
        "nombre del artista, "
        "nombre del autor, художник, автор, muvesz, taiteilija, sanatci, "
        "ressam, esecutore, created by, painted by, made by, produced by, by, who painted it, hand, "
        "constituents display name, constituent display name, production creator, objperson, "
        "objpersonref, objperassociationref, person korperschaft, personen name, person name, "
        "person institution, personen institutionen, beteiligte person institution, "
        "beteiligte personen institutionen, autr, "
        "beteiligte name, hersteller in, toegeschreven aan, 作者名, 作家名, konstnar, kunstner, artysta, malarz, "
        "autor dziela, 作者, 作家, 画家",
        "title": "title, name, painting, work, caption, object title, titles, title display, display title, "
        "preferred title, "
        "work title, primary title, objecttitle, titel, objekttitel, werktitel, bezeichnung, "
        "objektbezeichnung, titre, "
        "titre de l oeuvre, titre de l œuvre, denomination, titolo, titolo opera, sgti, titulo, "
        "titulo de la obra, "
        "preferred label, preferred labels, ca objects preferred labels, ca objects preferred labels name, "
        "objobjecttitletxt, objobjecttitlevrt, titr, название, наименование, titel engels, rubrik, tytul, "
        "題名, 作品名, タイトル",
        "year": "year, date, creation date, objectdate, dated, object date, date display, display date, displaydate, "
        "date made, "
        "date created, creation year, date of creation, production date, dating, date text, object begin date, "
        "objectbegindate, beginyear, date start, earliest date, date begin, period, datierung, jahr, "
        "entstehungsjahr, "
        "entstehungszeit, herstellungsdatum, herstellungsdatierung, datum, date de creation, annee, datation, "
        "periode de creation, millesime, data, anno, datazione, cronologia, dtsi, datering, jaar, jaartal, "
        "vervaardigingsdatum, fecha, ano, datacion, fecha de creacion, дата, год, датировка, время создания, "
        "objdatetxt, objdatevrt, object creation date, dating presenting date, dating year, production date start, "
        "ca objects date, ca objects creation date, ca objects date created, mill, millesime de creation, "
        "datering begin, datering van, 制作年",
        "id": "id, painting id",
        "object": "object number, objectnumber, object no, object nr, accession number, accession no, accession nr, "
        "accession, "
        "accessionnumber, accessionnum, accession num, inventory number, inventory no, inventory nr, inv no, "
        "inv nr, "
        "inv, inventory, museum number, catalogue number, catalog number, catalog no, registration number, "
        "identification number, idno, object identifier, main reference number, object id, objectid, objid, "
        "identifier, inventarnummer, inventarnr, inventar nr, inventar nummer, invnr, objektnummer, objekt nr, "
        "objekt id, identnr, identnummer, ident nr, objectnummer, inventarisnummer, inventarisnr, "
        "numero d inventaire, numero inventaire, no inventaire, n inventaire, inventaire, ref, reference, "
        "cote, "
        "numero di inventario, numero inventario, n inventario, inventario, invn, numero de inventario, "
        "num inventario, no de inventario, n de inventario, numero de registro, registro, signatur, "
        "инвентарный номер, инв номер, инв no, номер, objobjectnumbertxt, "
        "objobjectnumbervrt, ca objects idno, 所蔵番号, 資料番号, 登録番号",
        "artist_id": "artist id, artistid, ulan, ulan id, artist ulan, artist ulan url, artist ulan id, ulan uri, "
        "wikidata, "
        "wikidata id, artist wikidata, artist wikidata url, artist wikidata id, creator id, gnd, "
        "gnd nummer, "
        "viaf, constituent id, constituentid, rkdartists, rkd id",
        "qualifier": "artist prefix, artist qualifier, attribution qualifier, attribution type, creator qualifier, "
        "maker qualifier, qualifier, creator attribution qualifier, zuschreibungsart, zuschreibungsgrad, "
        "art der zuschreibung, type d attribution, tipo de atribucion, kwalificatie, aard toeschrijving",
    }.items()
}
# For longer headings that are not known: a word that the heading must have, and words that it must not have.
WORDS = {
    "artist": {
        "artist",
        "artists",
        "painter",
        "maker",
        "creator",
        "kunstler",
        "kunstlerin",
        "maler",
        "artiste",
        "auteur",
        "peintre",
        "artista",
        "autore",
        "pittore",
        "kunstenaar",
        "vervaardiger",
        "schilder",
        "autor",
        "pintor",
        "художник",
        "urheber",
    },
    "path": {
        "filename",
        "file",
        "photo",
        "photograph",
        "image",
        "dateiname",
        "datei",
        "bilddatei",
        "bestand",
        "bestandsnaam",
        "fichier",
        "archivo",
        "файл",
    },
    "object": {
        "inventory",
        "accession",
        "inventarnummer",
        "inventarnr",
        "inventaire",
        "inventario",
        "inventarisnummer",
    },
}
FACTS = {
    "date",
    "dates",
    "begin",
    "beginning",
    "end",
    "ending",
    "birth",
    "born",
    "death",
    "died",
    "nationality",
    "gender",
    "sex",
    "role",
    "bio",
    "biography",
    "url",
    "uri",
    "link",
    "id",
    "ids",
    "wikidata",
    "ulan",
    "prefix",
    "suffix",
    "place",
    "country",
    "city",
    "years",
    "year",
    "geboren",
    "gestorben",
    "nationalitat",
    "nationalite",
    "sort",
    "type",
    "size",
    "width",
    "height",
    "credit",
    "rights",
    "copyright",
    "photographer",
    "fotograf",
    "permission",
    "count",
    "note",
    "notes",
    "description",
    "dimensions",
    "format",
    "license",
    "licence",
    "lebensdaten",
    "geburtsjahr",
    "sterbejahr",
    "geslacht",
    "rol",
    "period",
    "culture",
}
Headings = Sequence[str]


@lru_cache(maxsize=4096)
def plain(heading: str) -> str:
    """A heading in the form in which it is compared: `Artist/Maker` is `artist maker`."""
    words = folded(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", heading.replace("№", " no ")))
    return " ".join(re.findall(r"[^\W_]+", words))


def _key(heading: str) -> str:
    """A heading without blanks, which are optional, and without the number of the first of several."""
    return "".join(re.sub(r" 1$", "", plain(heading)).split())


def numbered(heading: str, headings: Headings) -> list[str]:
    """The headings that continue this one: `Artist 2` and `Artist 3` for `Artist 1` or `Artist`."""
    stem = re.sub(r" 1$", "", plain(heading))
    return [other for other in headings if re.fullmatch(re.escape(stem) + r" ([2-9]|\d\d)", plain(other))]


KNOWN = {
    ours: {_key(heading): len(headings) - place for place, heading in enumerate(reversed(headings))}
    for ours, headings in HEADINGS.items()
}


def recognised(cells: Iterable[str]) -> int:
    """How many of our columns these cells would name if they were headings."""
    keys = {_key(cell) for cell in cells if cell and len(cell) < 100}
    return sum(bool(keys & known.keys()) for known in KNOWN.values())


def columns_of(headings: Headings, named: dict[str, str], holds_images: Callable[[str], bool]) -> dict[str, str]:
    """Our column -> the table's heading: as named, else the best known one; each heading serves one column.

    holds_images: whether most cells of a column are names of images, which outweighs its heading.
    """
    found = dict(named)
    free = [heading for heading in headings if heading not in found.values()]
    for ours, known in KNOWN.items():
        if ours in found:
            continue
        ranked = sorted(
            (known[key], place, heading) for place, heading in enumerate(free) if (key := _key(heading)) in known
        )
        choice = [heading for _, _, heading in ranked] or [heading for heading in free if _is_about(heading, ours)]
        if ours == "path":
            choice = (
                [heading for heading in choice if holds_images(heading)]
                or [heading for heading in free if holds_images(heading)]
                or choice[: 1 if ranked else 0]
            )
        if choice:
            found[ours] = choice[0]
            free.remove(choice[0])
    return {ours: found[ours] for ours in HEADINGS if ours in found}


def _is_about(heading: str, ours: str) -> bool:
    """Whether an unknown heading is about one of our columns; a known heading is about itself only."""
    if any(_key(heading) in known for known in KNOWN.values()):
        return False
    words = set(plain(heading).split())
    return bool(words & WORDS.get(ours, set())) and not words & FACTS
