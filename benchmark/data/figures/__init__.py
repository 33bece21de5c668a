"""Pictures and tables of data sets: `datasets show` and `datasets compare`. No torch in here."""
