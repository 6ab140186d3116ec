"""Adult: 32,561 people of the US census of 1994, and whether they earn more than 50,000 dollars a year.

Source: B. Becker, R. Kohavi, Adult, UCI Machine Learning Repository, 1996, https://archive.ics.uci.edu/dataset/2/adult,
licence CC BY 4.0. Needs two files with a header line, `adult/adult_train.csv` and `adult/adult_test.csv` in the data
folder, of 22,792 and 9,769 rows. Some values of workclass, occupation and native_country are missing.
"""

from pipeline.formats.csv import Csv

NUMBERS = ("age", "fnlwgt", "education_num", "capital_gain", "capital_loss", "hours_per_week")
CATEGORIES = (
    "workclass",
    "education",
    "marital_status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "native_country",
)

ADULT = Csv(
    path="adult/adult_train.csv",
    test="adult/adult_test.csv",
    columns={**dict.fromkeys(NUMBERS, "float"), **dict.fromkeys(CATEGORIES, "bytes")},
    label="income",
    classes=("<=50K", ">50K"),
)
