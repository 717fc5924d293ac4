"""The words of records in the languages of museums: how an artist had a part in a work, nobody, nations, roles.

All are written without case and accents, as attribution.py compares them.
"""

from __future__ import annotations

import re

from .letters import folded

# Qualifier of CDWA -> what stands before a name and needs `of`, `von`, `di` ... behind it; and what needs none.
_QUALIFIERS: dict[str, tuple[str, str]] = {
    "attributed to": (
        "attribution, zuschreibung an, attribution a, attribuzione, toeschrijving, atribucion",
        "attributed, attributed to, attrib, attr, att, ascribed, ascribed to, given to, zugeschrieben, zugeschr, "
        "zuschreibung, "
        "attribue, attribuee, attribuito, attribuita, attribuibile, toegeschreven, toegeschr, atribuido, atribuida, "
        "приписывается, 伝, 伝承"),
    "formerly attributed to": (
        "formerly, ehemals, anciennement, voorheen",
        "formerly attributed, formerly attributed to, formerly ascribed to, ehemals zugeschrieben, "
        "fruher zugeschrieben, "
        "anciennement attribue, anciennement attribuee, gia attribuito, gia attribuita, voorheen toegeschreven, "
        "antes atribuido, antes atribuida, traditionally attributed to"),
    "possibly by": (
        "",
        "possibly, possibly by, probably, probably by, perhaps, perhaps by, maybe, maybe by, likely, likely by, "
        "doubtful, "
        "uncertain, questionable, vermutlich, vermutlich von, wahrscheinlich, wahrscheinlich von, moglicherweise, "
        "moglicherweise von, vielleicht, vielleicht von, wohl, wohl von, fraglich, unsicher, peut etre, "
        "peut etre par, "
        "probablement, probablement par, vraisemblablement, possiblement, forse, forse di, probabilmente, "
        "probabilmente di, "
        "possibilmente, misschien, misschien door, mogelijk, mogelijk door, waarschijnlijk, waarschijnlijk door, "
        "vermoedelijk, vermoedelijk door, quizas, quiza, tal vez, posiblemente, posiblemente de, probablemente, "
        "probablemente de, возможно, вероятно"),
    "workshop of": (
        "workshop, workshops, studio, studios, atelier, ateliers, office, assistant, assistants, "
        "workshop assistant, shop, "
        "bottega, taller, obrador, oficina, werkplaats, aiuto, aiuti, aide, ayudante, gehilfe, gehilfen, "
        "mitarbeiter, "
        "medewerker, werkstatte, мастерская",
        "werkstatt"),
    "pupil of": (
        "pupil, pupils, student, students, schuler, schulerin, eleve, eleves, allievo, allieva, allievi, leerling, "
        "leerlingen, discipulo, discipula, alumno, disciple, ученик",
        ""),
    "circle of": (
        "circle, umfeld, kreis, entourage, cercle, milieu, cerchia, ambito, ambiente, kring, omgeving, circulo, "
        "entorno, "
        "associate, associates, orbit, круг",
        "umkreis, kreis um"),
    "follower of": (
        "follower, followers, suiveur, suiveurs, seguace, seguaci, navolger, navolgers, navolging, volgeling, "
        "volgelingen, "
        "seguidor, seguidores, close follower, последователь",
        "nachfolger, nachfolge"),
    "school of": (
        "school, ecole, scuola, escuela, escola, школа",
        "schule"),
    "manner of": (
        "manner, in the manner, in manner, style, in the style, imitator, imitators, imitation, art, in der art, "
        "nach art, "
        "manier, in der manier, stil, im stil, stile, nachahmer, maniere, a la maniere, dans la maniere, "
        "dans le gout, gout, "
        "dans le style, dans le genre, genre, imitateur, imitatore, maniera, alla maniera, nella maniera, nei modi, "
        "modi, "
        "nello stile, stijl, in de stijl, in stijl, trant, in de trant, in de manier, navolging, imitatie, manera, "
        "a la manera, a manera, estilo, al estilo, imitador, imitacion",
        "nachahmer, imitator"),
    "after": (
        "after a design, after an original, after a painting, after a work, da un originale, d apres un original",
        "after, after original by, nach, d apres, naar, segun"),
    "copy after": (
        "copy, copies, copyist, copyists, replica, kopie, kopien, kopist, copie, copies, copiste, copia, copista, "
        "kopiist, "
        "reproduction, forgery, falschung, копия",
        "copy after, copies after, kopie nach, kopien nach, copie d apres, kopie naar, copia segun, copia da, "
        "copy by, "
        "replica after, reproduction after, копия с"),
    "together with": (
        "",
        "others, other artists, et al, andere, anderen, u a, autres, altri, otros, collaborators, mitarbeitern"),
}

# Words of a phrase -> its qualifier, and whether a name may only follow behind `of` and the like.
PHRASES: dict[tuple[str, ...], tuple[str, bool]] = {}
for _qualifier, (_nouns, _others) in _QUALIFIERS.items():
    for _words, _needs in ((_nouns, True), (_others, False)):
        PHRASES |= {tuple(phrase.split()): (_qualifier, _needs) for phrase in _words.split(", ") if phrase}

PREPOSITIONS = {"of", "to", "by", "from", "von", "vom", "des", "der", "dem", "den", "an", "um", "zu", "de", "du",
                "d", "da",
                "di", "del", "della", "dello", "dell", "degli", "dei", "a", "al", "au", "aux", "van", "aan", "door",
                "par",
                "por", "do", "dos", "с", "after", "nach", "naar", "apres", "segun"}
JOINING = {"&", "and", "und", "et", "e", "en", "y", "with", "mit", "avec", "con", "met", "и", "og", "och"}
OWN = {"or", "oder", "ou", "o", "of", "his", "her", "seine", "ihre", "son", "sua", "su", "zijn", "haar"}
ARTICLES = {"a", "an", "the", "ein", "eine", "einem", "einer", "un", "une", "uno", "una", "een"}
# Behind a name these need no comma before them: no name ends so.
ALONE = {"zugeschrieben", "attributed", "attrib", "attribue", "attribuee", "attribuito", "attribuita",
         "toegeschreven",
         "atribuido", "atribuida", "werkstatt", "workshop", "umkreis", "nachfolger", "nachfolge", "school", "schule"}
# Alone behind a comma these are first names and surnames, too.
AMBIGUOUS = {"art", "kreis", "stil", "gout", "genre", "modi", "milieu", "office", "shop", "aide", "trant", "orbit",
             "wohl"}
# What tells two of one name apart stands last, whatever the order of the rest.
SUFFIX_WORDS = {"elder", "younger", "i", "ii", "iii", "iv", "jr", "sr", "junior", "senior", "altere", "jungere",
                "ancien", "jeune",
                "vieux", "vecchio", "giovane", "oude", "jonge", "viejo", "joven", "mozo", "pere", "fils", "padre",
                "hijo", "d"}
SUFFIXES = SUFFIX_WORDS | {"the", "a", "ae", "j", "der", "l", "le", "il", "de", "el", "lo"}
SCHOOLS = {"school", "schools", "schule", "ecole", "scuola", "escuela", "escola"}
# How what is said of an artist's life begins.
ACTIVE = {"active", "fl", "flourished", "tatig", "actif", "attivo", "attiva", "activo", "werkzaam"}
BORN = ACTIVE | {"born", "died", "geb", "geboren", "gest", "gestorben", "ne", "nee", "nato", "nata", "nacido", "b"}

# How a word begins that says that nobody is named, wherever it stands first in a record.
NOBODY = (
    "unknown", "unidentif", "unattribut", "unnamed", "anonym", "anonim", "anoniem", "unbekannt", "unbek",
    "unbezeichnet",
    "inconnu", "ignoto", "ignota", "ignoti", "ignotus", "sconosciut", "onbekend", "desconocid", "desconhecid",
    "desconegut",
    "okand", "ukendt", "ukjent", "tuntematon", "tundmatu", "nezinam", "nezinom", "nieznan", "neznam", "neznan",
    "ismeretlen",
    "nepoznat", "necunoscut", "bilinmeyen", "bilinmiyor", "неизвест", "невідом", "невядом", "аноним", "анонім",
    "непознат", "αγνωστ", "ανωνυμ", "ezezagun", "anhysbys", "佚名", "無名氏", "无名氏", "作者不", "不詳", "不详",
    "不明",
    "無款", "无款", "無落款", "未知", "未詳", "未详", "无名", "無名", "مجهول", "نامعلوم", "ناشناس", "לאידוע", "אלמוני",
    "אנונימי", "unkown", "uknown", "unknow", "anonyym", "othekkt", "ubekendt", "anaithnid", "necunoscut", "panjohur",
    "nepodpis", "belirsiz", "անհայտ", "უცნობი", "belgisiz", "белгисиз", "белгісіз")
# The whole of a record that names nobody.
NOBODY_ALONE = {
    "", "nan", "none", "null", "nil", "na", "n a", "nn", "n n", "tbd", "tba", "nobody", "no artist", "no one",
    "not known", "not recorded", "not identified", "not applicable", "not available", "not attributed", "unspecified",
    "undetermined", "uncertain", "to be determined", "missing", "anon", "unk", "unkn", "various", "various artists",
    "several",
    "several artists", "multiple", "multiple artists", "mixed", "many", "verschiedene", "verschiedene kunstler",
    "diverse",
    "diverse kunstler", "mehrere", "div", "k a", "ka", "o a", "ohne angabe", "keine angabe", "keine angaben",
    "nicht bekannt",
    "nicht identifiziert", "nicht zugeschrieben", "niemand", "kein kunstler", "divers", "diverses", "plusieurs",
    "plusieurs artistes", "artistes divers", "non identifie", "non identifiee", "non attribue", "non attribuee",
    "non connu",
    "sans auteur", "sans nom", "s n", "sn", "aucun", "vari", "varie", "autori vari", "artisti vari", "aa vv", "aavv",
    "vv aa",
    "vvaa", "diversi", "non identificato", "non identificata", "non attribuito", "senza autore", "nessuno",
    "verscheidene",
    "diversen", "niet geidentificeerd", "niet bekend", "niet toegeschreven", "geen", "varios", "varias",
    "varios autores",
    "varios artistas", "diversos", "no identificado", "no identificada", "no consta", "sin autor", "sin identificar",
    "ninguno",
    "nao identificado", "sem autor", "forskellige", "diverse kunstnere", "rozni", "ruzni", "разные", "н х", "нх",
    "нет",
    "unsigned", "no name", "nameless", "xxx", "no data", "no information", "artist not known", "s a",
    "artist not recorded", "ohne kunstler", "ohne zuschreibung", "unsigniert", "nicht bezeichnet", "nicht angegeben",
    "nicht ermittelt", "non renseigne", "non precise", "non signe", "non determine", "sans attribution",
    "senza attribuzione", "non firmato", "non noto", "niet vermeld", "zonder naam", "ongesigneerd", "geen naam",
    "sin atribucion", "sin nombre", "sin firma", "no se conoce", "no especificado", "sem nome", "sem identificacao",
    "nao informado", "nao atribuido", "i panjohur", "e panjohur", "khong ro", "khuyet danh", "vo danh", "khong biet",
    "tidak diketahui", "tak dikenal", "tidak dikenal", "haijulikani", "ej identifierad", "ikke identificeret",
    "ei tiedossa", "brak danych", "brak", "bez autora", "nie okreslono", "неустановленный", "неустановлен",
    "не известен", "не указан", "без автора", "אמן לא ידוע", "צייר לא ידוע", "अज्ञात", "অজ্ঞাত", "ไม่ทราบ",
    "ไม่ปรากฏ", "автор не установлен",
    "не установлен", "미상", "작자 미상", "작자미상", "غير معروف", "לא ידוע"}
NOBODY_ALONE |= {folded(words) for words in NOBODY_ALONE}  # letters of Korean come apart
NOBODY_ALONE |= {"".join(re.findall(r"[^\W_]+", words)) for words in NOBODY_ALONE}  # so do those of India

ROLES = {
    "artist", "artists", "painter", "painters", "maker", "makers", "author", "creator", "master", "hand",
    "craftsman", "workshop",
    "draughtsman", "engraver", "printmaker", "sculptor", "miniaturist", "portraitist", "kunstler", "kunstlerin",
    "maler", "malerin",
    "meister", "zeichner", "artiste", "artistes", "peintre", "peintres", "auteur", "maitre", "artista", "artisti",
    "pittore",
    "pittori", "autore", "maestro", "kunstenaar", "schilder", "schilders", "vervaardiger", "tekenaar",
    "autor", "autora",
    "pintor", "pintora", "konstnar", "malare", "kunstner", "maalari", "taiteilija", "artysta", "malarz", "malir",
    "umelec", "festo",
    "muvesz", "художник", "автор", "мастер", "живописец", "by", "person", "name", "作者", "画家"}
PERIODS = {
    "century", "centuries", "cent", "jh", "jhd", "jhdt", "jahrhundert", "siecle", "secolo", "sec", "eeuw", "siglo",
    "seculo", "early", "late", "mid", "th", "st", "nd", "rd", "xiv", "xv", "xvi", "xvii", "xviii", "xix", "xx",
    "xive", "xve",
    "xvie", "xviie", "xviiie", "xixe", "xxe", "век", "circa", "ca", "half", "quarter", "first", "second", "dynasty",
    "period"}
DIRECTIONS = {"north", "northern", "south", "southern", "east", "eastern", "west", "western", "upper", "lower",
              "central", "new",
              "zealand", "native", "anglo", "franco", "italo", "noord", "zuid", "later", "or", "and"}
TITLES = {"sir", "dame"}  # no part of a name, wherever they stand
NATIONALITIES = {
    # English
    "african", "albanian", "algerian", "american", "antwerp", "arab", "aragonese", "argentine", "argentinian",
    "armenian", "asian", "australian", "austrian", "bavarian", "belgian", "bohemian", "bolognese", "brabant",
    "brazilian",
    "british", "bruges", "bulgarian", "burgundian", "byzantine", "canadian", "castilian", "catalan", "chilean",
    "chinese",
    "colombian", "cretan", "croatian", "cuban", "cypriot", "czech", "danish", "dutch", "egyptian", "emilian",
    "english",
    "estonian", "ethiopian", "european", "ferrarese", "filipino", "finnish", "flemish", "florentine", "french",
    "genoese", "georgian", "german", "greek", "guatemalan", "hungarian", "icelandic", "indian", "indonesian",
    "iranian", "iraqi",
    "irish", "israeli", "italian", "jamaican", "japanese", "jewish", "korean", "latvian", "lebanese", "ligurian",
    "lithuanian", "lombard", "lucchese", "mexican", "milanese", "moroccan", "mughal", "neapolitan", "nepalese",
    "netherlandish", "netherlands", "nigerian", "norwegian", "ottoman", "paduan", "parmese", "persian",
    "peruvian", "piedmontese", "pisan", "polish", "portuguese", "provencal", "prussian", "roman", "romanian",
    "russian",
    "scottish", "serbian", "sevillian", "sicilian", "sienese", "slovak", "slovenian", "spanish", "swedish",
    "swiss", "syrian", "thai", "tibetan", "tuscan", "turkish", "tyrolean", "ukrainian", "umbrian", "valencian",
    "venetian", "vietnamese", "welsh", "rhenish", "cologne",
    # German
    "agyptisch", "amerikanisch", "belgisch", "bohmisch", "britisch", "chinesisch", "danisch", "deutsch", "deutscher",
    "englisch", "flamisch", "flamischer", "florentinisch", "franzosisch", "franzosischer", "griechisch",
    "hollandisch",
    "hollandischer", "indisch", "italienisch", "italienischer", "japanisch", "niederlandisch", "niederlandischer",
    "norwegisch",
    "osterreichisch", "osterreichischer", "polnisch", "portugiesisch", "romisch", "russisch", "schwedisch",
    "schweizerisch",
    "schweizer", "spanisch", "spanischer", "suddeutsch", "tschechisch", "turkisch", "ungarisch", "venezianisch",
    "oberdeutsch", "kolner", "nurnberger", "augsburger", "ulmer", "bohmischer", "frankischer",
    "schwabischer", "westfalischer", "niedersachsischer", "mittelrheinischer", "oberrheinischer", "niederrheinischer",
    "suddeutscher", "norddeutscher", "oberdeutscher", "tiroler", "bayerischer", "sachsischer", "salzburger", "wiener",
    # French
    "allemand", "allemande", "americain", "americaine", "anglais", "anglaise", "autrichien", "autrichienne", "belge",
    "britannique", "catalane", "chinois", "chinoise", "danois", "danoise", "espagnol", "espagnole", "flamand",
    "flamande",
    "florentin", "francais", "francaise", "grec", "grecque", "hollandais", "hollandaise", "hongrois", "italien",
    "italienne",
    "japonais", "japonaise", "neerlandais", "neerlandaise", "norvegien", "polonais", "polonaise", "portugais",
    "russe",
    "siennois", "suedois", "suisse", "venitien", "venitienne",
    # Italian
    "americano", "austriaco", "belga", "britannico", "cinese", "emiliano", "emiliana", "fiammingo",
    "fiamminga", "fiorentino", "fiorentina", "francese", "genovese", "giapponese", "inglese", "italiano", "italiana",
    "lombardo", "lombarda", "napoletano", "napoletana", "olandese", "piemontese", "polacco", "portoghese",
    "russo", "senese", "spagnolo", "spagnola", "svizzero", "tedesco", "tedesca", "toscano", "toscana", "umbro",
    "veneto",
    "veneta", "veneziano", "veneziana",
    # Dutch
    "amerikaans", "amerikaanse", "belgische", "brits", "chinees", "deens", "duits", "duitse", "engels", "engelse",
    "franse", "grieks", "hollands", "hollandse", "italiaans", "italiaanse", "japans", "nederlands", "nederlandse",
    "oostenrijks", "russische", "spaans", "spaanse", "vlaams", "vlaamse", "zwitsers",
    # Spanish and Portuguese
    "aleman", "alemana", "andaluz", "aragones", "britanico", "castellano", "chino", "espanol", "espanola", "flamenco",
    "flamenca", "francesa", "griego", "holandes", "holandesa", "ingles", "inglesa", "japones", "mexicano",
    "mexicana", "neerlandes", "peruano", "portugues", "ruso", "sevillano", "sevillana", "suizo", "valenciano",
    # Russian, without its breves
    "русскии", "французскии", "итальянскии", "голландскии", "фламандскии", "немецкии", "испанскии"}
