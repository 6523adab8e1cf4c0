"""The list of models, and each by its id, slashes and colons included."""

from common import EMBEDDER, LONG_NAME, MODEL, client, check, equal

api = client()
listed = {model.id: model for model in api.models.list()}
check({MODEL, EMBEDDER, LONG_NAME} <= set(listed), "a model is missing from the list", sorted(listed))
for name in (MODEL, EMBEDDER, LONG_NAME):
    model = api.models.retrieve(name)
    equal((model.id, model.object), (name, "model"), "this is another model")
    equal(model.owned_by, listed[name].owned_by, "list and model differ on the owner")
