"""The register of training, 教研 and achievements (研修与成果登记), kept by a school or an office about its own people."""
