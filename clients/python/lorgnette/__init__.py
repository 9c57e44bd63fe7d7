"""lorgnette: visual search whose photos stay on the device.

The SDK embeds the query where the photo is and sends only the vector.

    from lorgnette import Bundle, Client, Encoder

    encoder = Encoder(Bundle.open("models/student"))
    with Client("http://127.0.0.1:8080", encoder=encoder) as client:
        for hit in client.search("photo.jpg"):
            print(hit.id, hit.score)
"""
