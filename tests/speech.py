"""Words that a program speaks: for each digit two tones that glide, in the pitch of a voice."""

import numpy as np


def spoken(digit, voice, random, rate=8000):
    """Return the sound of a word between silences; `voice` shifts its pitch by that factor."""
    n = int(rate * random.uniform(0.2, 0.3))
    share = np.linspace(0, 1, n)
    sound = 0.01 * random.randn(n)
    for begin, end in ((300 + 60 * digit, 400), (1000 + 150 * ((7 * digit) % 10), 1600)):
        pitch = voice * (begin + (end - begin) * share)
        sound += 0.2 * np.sin(2 * np.pi * np.cumsum(pitch) / rate)
    silence = np.zeros(rate // 20)
    return np.concatenate([silence, sound, silence])


def write_words(folder, voices, n_each, **options):
    """Write so many words of each digit by every speaker; voices are by name."""
    import soundfile  # the extra speech may be missing

    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.RandomState(0)
    for name, voice in voices.items():
        for digit in range(10):
            for k in range(n_each):
                sound = spoken(digit, voice, random)
                soundfile.write(folder / f"{digit}_{name}_{k}.wav", sound, 8000, **options)
    return folder
