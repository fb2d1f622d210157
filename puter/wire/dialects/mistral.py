"""Mistral's route: its library knows parts by camelCase names alone."""

from __future__ import annotations

from puter.wire.dialects.base import Dialect, Part, file_in, image_in


class MistralDialect(Dialect):
    """Mistral's own models; resellers of them speak the neutral form."""

    def encode_part(self, part: Part) -> Part:
        part = super().encode_part(part)
        image = image_in(part)
        if image is not None:
            return {"type": "image_url", "imageUrl": image["url"]}
        file = file_in(part)
        if file is not None and isinstance(file.get("file_data"), str):
            name = {"documentName": file["filename"]} if file.get("filename") else {}
            return {"type": "document_url", "documentUrl": file["file_data"], **name}
        return part


MISTRAL = MistralDialect()
