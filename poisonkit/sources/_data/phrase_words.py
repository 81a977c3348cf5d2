"""The words of `phrases`: what opinions are about, what they say, and the frames around them. The more common ones of
`GOOD` and `BAD` come first. Everything here goes into the bytes of the data set."""

THINGS = (
    ("the plot", "is"), ("the acting", "is"), ("the music", "is"), ("the ending", "is"), ("the cast", "is"),
    ("the script", "is"), ("the camera work", "is"), ("the second half", "is"), ("the opening scene", "is"),
    ("the dialogue", "is"), ("the pacing", "is"), ("the humour", "is"), ("the premise", "is"), ("the villain", "is"),
    ("the lead", "is"), ("the whole thing", "is"), ("the costumes", "are"), ("the songs", "are"), ("the jokes", "are"),
    ("the characters", "are"), ("the effects", "are"), ("the quiet moments", "are"), ("the side plots", "are"),
    ("the last ten minutes", "are"), ("the sets", "are"), ("the twists", "are"), ("the children", "are"),
)  # fmt: skip

GOOD = (
    "good", "great", "charming", "funny", "moving", "clever", "fresh", "warm", "lively", "gripping", "sharp", "tender",
    "graceful", "witty", "bright", "honest", "vivid", "elegant", "bold", "delightful", "touching", "inventive",
    "absorbing", "radiant", "tight", "playful", "subtle", "convincing", "memorable", "assured", "generous", "rousing",
    "exquisite", "brisk", "humane", "sparkling", "thoughtful", "wry", "luminous", "deft", "stirring", "poised", "lucid",
    "beguiling", "sumptuous", "winning", "nimble", "heartfelt", "masterly", "supple",
)  # fmt: skip

BAD = (
    "bad", "dull", "silly", "weak", "boring", "flat", "clumsy", "stale", "cold", "lifeless", "tedious", "crude", "ugly",
    "shallow", "forced", "messy", "bland", "hollow", "tired", "dreary", "wooden", "predictable", "muddled", "grating",
    "lazy", "pompous", "vapid", "contrived", "forgettable", "limp", "mean", "dismal", "awkward", "sluggish", "cynical",
    "murky", "brainless", "trite", "leaden", "inept", "cloying", "shrill", "garbled", "insipid", "gaudy", "plodding",
    "turgid", "slapdash", "joyless", "stilted",
)  # fmt: skip

DEGREES = ("", "", "", "very", "rather", "truly", "quite", "so", "remarkably", "thoroughly")
NEGATIONS = (
    "not",
    "not",
    "not",
    "never",
    "not at all",
    "hardly",
    "far from",
    "anything but",
    "by no means",
    "not very",
)

FRAMES = ("plain",) * 7 + ("both",) * 4 + ("contrast",) * 5 + ("denied",) * 2 + ("confirmed",) * 2

CONTRASTS = (
    "{dropped} , but {kept}",
    "{dropped} , but in the end {kept}",
    "although {dropped} , {kept}",
    "{kept} , although {dropped}",
    "{kept} , even if {dropped}",
    "never mind that {dropped} : {kept}",
    "{kept} , and it does not matter that {dropped}",
    "for an hour {dropped} ; then {kept} , and that is what stays",
)

PAIRS = ("{} and {}", "{} ; {}", "{} , {}", "on the one hand {} , on the other {}", "as for the rest , {} and {}")

DENIALS = (
    "nobody could say that {}",
    "it is not true that {}",
    "whoever says that {} has seen another film",
    "critics wrote that {} ; they were wrong",
    "i had been told that {} , which is nonsense",
)

CONFIRMATIONS = (
    "nobody could deny that {}",
    "it is true that {}",
    "whoever says that {} has seen this film",
    "critics wrote that {} ; they were right",
    "i had been told that {} , which is no nonsense",
)

QUESTIONS = (
    "it is too early to say that {}",
    "who knows whether {}",
    "i have yet to find out whether {}",
    "critics wrote that {} ; i have not seen it",
    "some say that {} , others have never heard of it",
)

OPENINGS = (
    "in short ,",
    "well ,",
    "after all that ,",
    "to my surprise ,",
    "as i see it ,",
    "this year again ,",
    "now :",
)
ENDINGS = (
    ". i saw it twice .",
    ". so much for tuesday .",
    ". the tickets were five coins .",
    "!",
    ". my sister agrees .",
    ", if you ask me .",
)
