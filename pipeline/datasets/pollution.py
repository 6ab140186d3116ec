"""Fine dust (PM2.5) at the US embassy in Beijing and the weather at its airport, hourly, 2010 to 2014: 43,824 hours.

Source: X. Liang et al., Assessing Beijing's PM2.5 pollution, Proceedings of the Royal Society A 471, 2015; UCI Machine
Learning Repository 381, https://archive.ics.uci.edu/dataset/381. Licence: CC BY 4.0. The archive's only file is
`timeseries/pollution.csv` in the data folder. 2,067 hours have no measurement of dust; the longest gap has 155 hours.
"""

from datetime import timedelta

from pipeline.formats.time_series import TimeSeries

LENGTH = 168  # a week
HORIZON = 24  # a day

POLLUTION = TimeSeries(
    path="timeseries/pollution.csv",
    time=("year", "month", "day", "hour"),
    step=timedelta(hours=1),
    target="pm2.5",
    numbers={
        "pm25": "pm2.5",  # µg/m³
        "dew_point": "DEWP",  # °C
        "temperature": "TEMP",  # °C
        "pressure": "PRES",  # hPa
        "wind_speed": "Iws",  # m/s, summed up since the wind turned
        "snow": "Is",  # hours of it, summed up
        "rain": "Ir",  # hours of it, summed up
        "month": "month",
        "hour": "hour",
    },
    texts={"wind": "cbwd"},  # NW, NE, SE, cv (calm and variable)
    length=LENGTH,
    horizon=HORIZON,
    stride=2,  # neighbouring windows overlap almost completely: stride 1 would double the work for little gain
    label="next_pm25",
)
