"""A photonic head on a sentence transformer, with SetFit."""

from sentence_transformers import SentenceTransformer
from sentence_transformers.models import BoW
from setfit import SetFitModel

from qlmbench.models.photonic import PhotonicClassifier

# A bag of words, so that this runs without a download. Take any sentence transformer instead:
# body = SentenceTransformer("sentence-transformers/paraphrase-mpnet-base-v2")
body = SentenceTransformer(modules=[BoW(vocab=["warm", "witty", "dull", "flat", "film"])])
head = PhotonicClassifier(n_modes=4, n_photons=2, epochs=100, learning_rate=1e-2)
model = SetFitModel(model_body=body, model_head=head)

texts = ["a warm and witty film", "a dull film , and flat"] * 8
model.fit(texts, ["good", "bad"] * 8, num_epochs=1)
print(model.predict(["witty and warm", "flat and dull"]))
