//! The words of which the sample is made.

/// How a script's names are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Given name, space, family name; with an initial between them now and then.
    GivenInitialFamily,
    /// Given name, space, family name.
    GivenFamily,
    /// Family name and given name, written together.
    FamilyGivenJoined,
}

/// Names of one script.
pub(super) struct Script {
    pub(super) given: &'static [&'static str],
    pub(super) family: &'static [&'static str],
    pub(super) order: Order,
    /// Share of the patients, in hundredths.
    pub(super) share: u32,
}

#[rustfmt::skip]
pub(super) const SCRIPTS: [Script; 8] = [
    // Latin, with the marks of a dozen languages.
    Script {
        order: Order::GivenInitialFamily,
        share: 58,
        given: &[
            "Agnieszka", "Aïcha", "Ana", "Ásdís", "Björn", "Božena", "Chloé", "Ðức", "Dženana", "Élodie",
            "Emma", "Fátima", "François", "Günther", "Håkon", "Ilse", "Inês", "İbrahim", "Jānis", "João",
            "José", "Jürgen", "Kāwika", "Kęstutis", "Łukasz", "Lucía", "Małgorzata", "Mia", "Møgens", "Nguyệt",
            "Noah", "Oisín", "Ömer", "Petra", "Quỳnh", "Renée", "Seán", "Sørine", "Şebnem", "Tiyé",
            "Ülkü", "Věra", "Wiremu", "Ximena", "Yusuf", "Zoë", "Žofia", "Þórunn",
        ],
        family: &[
            "Åkesson", "Almeida", "Azevedo", "Bērziņš", "Brânză", "Çelik", "Conceição", "Côté", "Dvořák", "Đorđević",
            "Eriksson", "Fernández", "Ferreira", "Fößel", "García", "Gonçalves", "Grünwald", "Guðmundsdóttir", "Håland",
            "Horváth", "Ibáñez", "Jiménez", "Jørgensen", "Kovačević", "Kühn", "Lefèvre", "Łuczak", "Martínez", "Müller",
            "Muñoz", "Nagy", "Nguyễn", "Nowak", "Núñez", "Ó Briain", "O'Connor", "Öztürk", "Pérez", "Petrauskienė",
            "Reuß", "Rodrigues", "Šimůnek", "Sæther", "Smith-Jones", "Søndergaard", "Szabó", "Tāmati", "Trần", "Vũ",
            "Wójcik", "Yıldız", "Żuraw", "Žukauskas",
        ],
    },
    // Cyrillic.
    Script {
        order: Order::GivenFamily,
        share: 7,
        given: &[
            "Алёна", "Анастасия", "Богдан", "Валентина", "Георги", "Ђорђе", "Євген", "Иван", "Ірина", "Љубица",
            "Марија", "Нурлан", "Оксана", "Пётр", "Светлана", "Фёдор", "Юлия", "Ярослав",
        ],
        family: &[
            "Бондаренко", "Василев", "Гончаров", "Димитров", "Жуков", "Иванова", "Јовановић", "Коваленко", "Кузнецова",
            "Лебедев", "Мельник", "Назарбаев", "Петровић", "Семёнова", "Ткаченко", "Шевченко", "Щербакова",
        ],
    },
    // Greek.
    Script {
        order: Order::GivenFamily,
        share: 4,
        given: &[
            "Αθηνά", "Αλέξανδρος", "Βασιλική", "Γεώργιος", "Δήμητρα", "Ελένη", "Ιωάννα", "Κωνσταντίνος", "Μαρία",
            "Νικόλαος", "Παναγιώτης", "Σοφία", "Χρήστος",
        ],
        family: &[
            "Αντωνίου", "Βλάχος", "Γεωργίου", "Δημητρίου", "Ιωαννίδης", "Καραγιάννη", "Μακρής", "Νικολαΐδης",
            "Οικονόμου", "Παπαδόπουλος", "Σταύρου", "Τσακίρης",
        ],
    },
    // Han.
    Script {
        order: Order::FamilyGivenJoined,
        share: 8,
        given: &[
            "伟", "芳", "娜", "秀英", "敏", "静", "丽", "强", "磊", "军", "洋", "勇", "艳", "杰", "雨桐", "子涵", "浩然",
            "诗琪", "志明", "淑芬",
        ],
        family: &[
            "王", "李", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴", "徐", "孙", "胡", "朱", "高", "林", "欧阳", "司马",
        ],
    },
    // Japanese: kanji, with given names in hiragana and katakana as well.
    Script {
        order: Order::FamilyGivenJoined,
        share: 5,
        given: &[
            "陽葵", "蓮", "さくら", "ひなた", "結衣", "大翔", "あかり", "健太", "エリカ", "美咲", "翔太", "みゆき",
        ],
        family: &[
            "佐藤", "鈴木", "高橋", "田中", "伊藤", "渡辺", "山本", "中村", "小林", "加藤", "吉田", "佐々木",
        ],
    },
    // Hangul.
    Script {
        order: Order::FamilyGivenJoined,
        share: 4,
        given: &[
            "서연", "민준", "지우", "서준", "하은", "도윤", "예은", "시우", "지민", "현우", "수빈", "은영",
        ],
        family: &["김", "이", "박", "최", "정", "강", "조", "윤", "장", "임", "한", "남궁"],
    },
    // Arabic, Persian and Urdu: written from right to left.
    Script {
        order: Order::GivenFamily,
        share: 7,
        given: &[
            "أحمد", "آمنة", "إبراهيم", "بهار", "پریسا", "خديجة", "رضا", "زينب", "سلمى", "عائشة", "عمر", "فاطمة", "كريم",
            "گلناز", "مریم", "يوسف",
        ],
        family: &[
            "أحمدی", "البغدادي", "الحسن", "الخطيب", "الزهراني", "العلي", "المصري", "بن يحيى", "چوہدری", "حداد", "رضایی",
            "صدیقی", "منصور", "نجار",
        ],
    },
    // Devanagari.
    Script {
        order: Order::GivenFamily,
        share: 7,
        given: &[
            "अनन्या", "अर्जुन", "ऋषि", "कविता", "कृष्ण", "दीपक", "नेहा", "प्रिया", "मीरा", "राहुल", "लक्ष्मी", "विक्रम", "श्रुति",
            "सीता",
        ],
        family: &[
            "अग्रवाल", "कुलकर्णी", "गुप्ता", "चतुर्वेदी", "जोशी", "त्रिपाठी", "देशपांडे", "पटेल", "मिश्रा", "यादव", "शर्मा", "श्रेष्ठ",
            "सिंह",
        ],
    },
];

pub(super) const SPECIALTIES: [&str; 12] = [
    "General practice",
    "Cardiology",
    "Paediatrics",
    "Dermatology",
    "Gynaecology",
    "Orthopaedics",
    "Neurology",
    "Ophthalmology",
    "Ear, nose and throat",
    "Psychiatry",
    "Endocrinology",
    "Urology",
];

/// Why patients come; the empty one stands for those who did not say.
pub(super) const REASONS: [&str; 24] = [
    "",
    "Annual check-up",
    "Follow-up",
    "Blood pressure",
    "Blood test results",
    "Vaccination",
    "Back pain",
    "Headache for a week",
    "Cough and fever",
    "Sore throat",
    "Skin rash",
    "Mole to look at",
    "Knee pain after a fall",
    "Stomach ache",
    "Trouble sleeping",
    "Dizziness",
    "Allergy",
    "Asthma review",
    "Diabetes review",
    "Prescription renewal",
    "Sick note",
    "Referral",
    "Pre-operative assessment",
    "Second opinion",
];

/// What the doctor wrote down.
pub(super) const NOTES: [&str; 8] = [
    "RR 130/85, pulse 72. No change of medication.",
    "Improving. See again in four weeks.",
    "Blood taken:\n\tfull count\n\tHbA1c\n\tlipids",
    "Penicillin allergy (reported by the patient).",
    "Temp. 38.4 °C, throat red, lungs clear. Rest, fluids; back if worse after 3 days.",
    "Referred for imaging: MRI L4/L5.",
    "Dose reduced to ½ tablet in the evening.",
    "Path of the old record: Archive\\2011\\scan 07.",
];
