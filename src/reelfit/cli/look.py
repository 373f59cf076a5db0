"""One video as a study's models will see it."""

from pathlib import Path

from reelfit.errors import VideoError
from reelfit.report.contact_sheet import Row, details_of, write_contact_sheet
from reelfit.stages.decoding import clips_of, decode_clip
from reelfit.study import Study


def look_at(video: Path, study: Study, out: Path) -> str:
    """Draws the clip of ``video`` and its copies to ``out``; gives back a sentence about it.

    The copies are those that a run of the study stores, or sees in its first epoch.

    Raises:
        VideoError: the video cannot be used; the message begins with its name.
    """
    from reelfit.video.arrays import content_digest
    from reelfit.video.probe import probe

    try:
        facts = probe(video, on_damage=study.videos.on_damage)
        identity = content_digest(video)[:32]
        decoded = decode_clip(video, identity, study)
    except VideoError as error:
        raise VideoError(f"{video}: {error.reason}", error.detail) from None
    stored = study.clips.model_copy(update={"store": "copies"})
    whole = study.model_copy(update={"clips": stored})
    rows = [
        Row(
            f"copy {clip.copy}" if clip.copy else "original",
            details_of(clip.augmentation),
            clip.pixels,
        )
        for clip in clips_of(decoded, identity, whole)
    ]
    duration = f"{facts.duration_seconds:.2f} s" if facts.duration_seconds else "unknown duration"
    known = (
        f"{facts.width} x {facts.height}, {facts.frame_count} frames, {duration}, {facts.codec}, "
        f"{facts.colour_matrix}{'' if facts.colour_tagged else ' (by its size)'}"
        f"{', HDR' if facts.hdr else ''}, decoded by {decoded.strategy}"
    )
    if decoded.left_out:
        known += f", {decoded.left_out} damaged frames left out"
    columns = [f"frame {at}" for at in decoded.at]
    write_contact_sheet(out, heading=f"{video.name}: {known}", columns=columns, rows=rows)
    return known
