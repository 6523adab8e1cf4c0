"""Files: uploaded, listed page by page, read, waited for, deleted; and the errors on the way."""

import io

import openai
from common import check, client, equal

api = client()
words = b"0123456789" * 1000

file = api.files.create(file=("notes.txt", io.BytesIO(words)), purpose="user_data")
equal((file.object, file.bytes, file.filename, file.purpose), ("file", len(words), "notes.txt", "user_data"), "another file")
equal(api.files.retrieve(file.id), file, "the file is another when it is read again")
content = api.files.content(file.id)
equal(content.read(), words, "the bytes are not those that were sent")
part = api.files.with_raw_response.content(file.id, extra_headers={"range": "bytes=5-9"})
equal((part.http_response.status_code, part.http_response.content), (206, b"56789"), "a part is another")

short = api.files.create(file=b"short", purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600})
equal(short.expires_at - short.created_at, 3600, "its life was lost")
equal(short.status, "error", "lines that are no requests look good")

more = [api.files.create(file=(f"{at}.txt", b"x"), purpose="user_data") for at in range(4)]
listed = [one.id for one in api.files.list(limit=2, purpose="user_data")]
wanted = [one.id for one in reversed(more)] + [file.id]
equal(listed[: len(wanted)], wanted, "pages do not add up to the list")
equal([one.id for one in api.files.list(order="asc", limit=1, purpose="batch")][-1], short.id, "the order is lost")

gone = api.files.delete(file.id)
check(gone.deleted and gone.id == file.id, "it was not deleted", gone)
for use in (api.files.retrieve, api.files.content, api.files.delete):
    try:
        use(file.id)
        check(False, f"{use.__name__} of a deleted file went well")
    except openai.NotFoundError as error:
        equal(error.code, "not_found", "another error was due")
try:
    api.files.create(file=b"x", purpose="fun")
    check(False, "a purpose that there is not was taken")
except openai.BadRequestError as error:
    equal((error.code, error.param), ("invalid_value", "purpose"), "the error does not name the field")
for one in [short, *more]:
    api.files.delete(one.id)
