"""Built-in texts for an audit without other texts: short and written for bytemill."""

__all__ = ["CHARACTERS", "CODE", "LANGUAGE_NAMES", "REVERSED_WORDS", "SENTENCES"]

CHARACTERS = "北大模型Aé🙂"

REVERSED_WORDS = ("strawberry", "lollipop", "tokenizer", "北京大学")

SENTENCES = {
    "English": "The teacher opened the window because the room was too warm.",
    "Spanish": "La maestra abrió la ventana porque hacía demasiado calor en la sala.",
    "French": "La maîtresse a ouvert la fenêtre parce qu'il faisait trop chaud dans la salle.",
    "German": "Die Lehrerin öffnete das Fenster, weil es im Zimmer zu warm war.",
    "Turkish": "Öğretmen, oda çok sıcak olduğu için pencereyi açtı.",
    "Finnish": "Opettaja avasi ikkunan, koska huoneessa oli liian lämmin.",
    "Vietnamese": "Cô giáo mở cửa sổ vì căn phòng quá nóng.",
    "Russian": "Учительница открыла окно, потому что в комнате было слишком тепло.",
    "Greek": "Η δασκάλα άνοιξε το παράθυρο γιατί το δωμάτιο ήταν πολύ ζεστό.",
    "Arabic": "فتحت المعلمة النافذة لأن الغرفة كانت دافئة جدا.",
    "Hindi": "शिक्षिका ने खिड़की खोली क्योंकि कमरा बहुत गर्म था।",
    "Thai": "ครูเปิดหน้าต่างเพราะห้องร้อนเกินไป",
    "Japanese": "部屋が暑すぎたので、先生は窓を開けました。",
    "Korean": "방이 너무 더워서 선생님이 창문을 열었습니다.",
    "Chinese": "因为房间太热，老师打开了窗户。",
}
"""One sentence in languages with different scripts."""

LANGUAGE_NAMES = {
    "eng": "English",
    "spa": "Spanish",
    "fra": "French",
    "deu": "German",
    "por_BR": "Portuguese",
    "ita": "Italian",
    "nld": "Dutch",
    "swe": "Swedish",
    "pol": "Polish",
    "tur": "Turkish",
    "fin": "Finnish",
    "vie": "Vietnamese",
    "ind": "Indonesian",
    "swh": "Swahili",
    "rus": "Russian",
    "ukr": "Ukrainian",
    "ell_monotonic": "Greek",
    "arb": "Arabic",
    "pes_1": "Persian",
    "heb": "Hebrew",
    "hin": "Hindi",
    "ben": "Bengali",
    "tha": "Thai",
    "jpn": "Japanese",
    "kor": "Korean",
    "cmn_hans": "Chinese",
    "tam": "Tamil",
    "mya": "Burmese",
    "bod": "Tibetan",
    "div": "Dhivehi",
}
"""Names of large languages, by file names of the Universal Declaration of Human Rights' translations."""

CODE = """def primes(limit):
    found = []
    for number in range(2, limit):
        for prime in found:
            if number % prime == 0:
                break
        else:
            found.append(number)
    return found
"""
