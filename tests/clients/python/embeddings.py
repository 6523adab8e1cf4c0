"""Embeddings: as the SDK asks for them by itself (base64), and as numbers."""

from common import EMBEDDER, WORKER, check, client, equal

api = client()
words = ["a lobster", "a trap"]

packed = api.embeddings.create(model=EMBEDDER, input=words)
plain = api.embeddings.create(model=EMBEDDER, input=words, encoding_format="float")
equal([one.index for one in packed.data], [0, 1], "the order is not that of the input")
check(packed.usage.prompt_tokens > 0, "the usage is missing", packed.usage)
for one, other in zip(packed.data, plain.data, strict=True):
    equal(len(one.embedding), len(other.embedding), "the two forms differ in length")
    far = max(abs(a - b) for a, b in zip(one.embedding, other.embedding))
    check(far < 1e-6, "the two forms differ", far)
check(packed.data[0].embedding != packed.data[1].embedding, "two texts have one vector")

single = api.embeddings.with_raw_response.create(model=EMBEDDER, input=words[0], dimensions=64)
equal(len(single.parse().data[0].embedding), 64, "dimensions was lost")
equal(single.headers["x-lobstah-worker"], WORKER, "somebody else answered")
