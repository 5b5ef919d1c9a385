"""Feature code with a planted leak each: the kind that it is, and the words of the line that causes it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import ndimage, signal
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler


def centred_window(price):
    width = 21
    return price.rolling(width, center=True).mean()  # leak


def centred_by_hand(price):
    values = price.to_numpy()
    smooth = np.full(len(values), np.nan)
    for t in range(5, len(values) - 5):
        window = values[t - 5 : t + 6]  # leak
        smooth[t] = window.mean()
    return smooth


def convolved(price):
    kernel = np.ones(7) / 7
    return np.convolve(price.to_numpy(), kernel, mode="same")  # leak


def whole_sample_normalisation(price):
    returns = price.pct_change()
    last = price.iloc[-1]  # read and never used: no leak
    average = returns.mean()  # leak
    spread = returns.rolling(20).std()
    assert last is not None
    return (returns - average) / spread


def scaled_by_min_and_max(price):
    low = price.rolling(50).min()
    high = price.max()  # leak
    return (price - low) / (high - low)


def backward_fill(price):
    holey = price.where(price.index.dayofweek != 2)
    filled = holey.bfill()  # leak
    return filled / price


def backward_filled_warm_up(price):
    average = price.rolling(50).mean()
    return (
        average
        .ffill()
        .bfill()  # leak
    )  # fmt: skip


def shifted_label(price):
    average = price.rolling(10).mean()
    target = price.shift(-5) / price - 1  # leak
    return average * 0 + target


def future_return(price):
    return price.pct_change(-3)  # leak


def rolled_over_the_edge(price):
    return np.roll(price.to_numpy(), -1)  # leak


def interpolation(price):
    holey = price.where(price.index.dayofweek != 2)
    return holey.interpolate()  # leak


def interpolated_by_numpy(price):
    known = np.arange(0, len(price), 5)
    return np.interp(np.arange(len(price)), known, price.to_numpy()[known])  # leak


def rank_over_time(price):
    momentum = price.pct_change(20)
    return momentum.rank(pct=True)  # leak


def order_over_time(price):
    place = np.argsort(np.argsort(price.to_numpy()))  # leak
    return place / 1000.0


def look_ahead_resampling(price):
    weekly = price.resample("W-MON", label="left", closed="left").last()  # leak
    return weekly.reindex(price.index, method="ffill")


def month_of_the_row(price):
    month = price.index.to_period("M")
    return price / price.groupby(month).transform("last")  # leak


def reversed_time(price):
    backwards = price[::-1].expanding().mean()[::-1]  # leak
    return price / backwards


def reversed_array(price):
    values = price.to_numpy()[::-1]  # leak
    return np.cumsum(values)[::-1]


def two_sided_filter(price):
    b, a = signal.butter(2, 0.1)
    return signal.filtfilt(b, a, price.to_numpy())  # leak


def smoothed(price):
    return ndimage.gaussian_filter1d(price.to_numpy(), 3.0)  # leak


def fourier(price):
    spectrum = np.fft.rfft(price.to_numpy())  # leak
    spectrum[20:] = 0
    return np.fft.irfft(spectrum, len(price))


def shuffled_split(price):
    table = price.pct_change().fillna(0.0).to_frame("r")
    train, _ = train_test_split(table, random_state=1)
    return StandardScaler().fit(train).transform(table)[:, 0]  # leak


def whole_sample_binning(price):
    returns = price.pct_change(5)
    return pd.qcut(returns, 5, labels=False)  # leak


def whole_sample_clipping(price):
    returns = price.pct_change()
    low, high = returns.quantile([0.01, 0.99])  # leak
    return returns.clip(low, high)


def fitted_on_everything(price):
    table = pd.concat({lag: price.pct_change(lag) for lag in (1, 5, 20)}, axis=1).fillna(0.0)
    model = PCA(n_components=1)
    factors = model.fit_transform(table)  # leak
    return factors[:, 0]


def fitted_in_place(price):
    table = price.pct_change().fillna(0.0).to_frame("r")
    scaler = StandardScaler()
    scaler.fit(table)  # leak
    return scaler.transform(table)[:, 0]


def trend_removed(price):
    days = np.arange(len(price), dtype=float)
    slope, level = np.polyfit(days, price.to_numpy(), 1)  # leak
    return price - (level + slope * days)


def whole_sample_extreme(price):
    return price / price.max() - 1  # leak


def target_encoding(price):
    returns = price.pct_change().fillna(0.0)
    day = pd.Series(price.index.dayofweek, price.index)
    return returns.groupby(day).transform("mean")  # leak


def forward_join(price):
    other = price[::5].rename("nearest").rename_axis("day").reset_index()
    rows = pd.DataFrame({"day": price.index})
    joined = pd.merge_asof(rows, other, on="day", direction="nearest")  # leak
    return joined["nearest"].to_numpy()


def next_row(price):
    fridays = price[price.index.dayofweek == 4]
    return fridays.reindex(price.index, method="bfill")  # leak


def days_that_remain(price):
    remain = len(price) - np.arange(len(price))  # leak
    return remain.astype(float)


def last_value(price):
    final = price.iloc[-1]  # leak
    return price / final


def in_a_helper(price):
    returns = price.pct_change()
    return helper(returns)


def helper(values):
    centre = values.median()  # leak
    return values - centre


def handed_down(price):
    level = price.mean()  # leak
    return apart(price, level)


def apart(values, level):
    return values - level


def through_a_branch(price):
    sign = 1.0
    if price.iloc[-1] > 2 * price.iloc[0] or price.iloc[-1] < price.iloc[0]:  # leak
        sign = -1.0
    return sign * price.pct_change()


def read_by_a_nested_function(price):
    top = price.max()  # leak

    def share(value):
        return value / top

    return price.map(share)


def through_a_branch_not_taken(price):
    sign = 1.0
    if price.iloc[-1] < 0.5 * price.iloc[0] or price.iloc[-1] > 3 * price.iloc[0]:  # leak
        sign = -1.0
    return sign * price.pct_change()


def one_bad_column(price):
    table = pd.DataFrame({"honest": price.rolling(5).mean()})
    table["smooth"] = table["honest"].rolling(9, center=True).mean()  # leak
    table["other"] = table["honest"].pct_change()
    return table


LEAKS = {
    centred_window: "centred_window",
    centred_by_hand: "centred_window",
    convolved: "centred_window",
    whole_sample_normalisation: "whole_sample_normalisation",
    scaled_by_min_and_max: "whole_sample_extreme",
    backward_fill: "backward_fill",
    backward_filled_warm_up: "backward_fill",
    shifted_label: "shifted_label",
    future_return: "shifted_label",
    rolled_over_the_edge: "shifted_label",
    interpolation: "interpolation",
    interpolated_by_numpy: "interpolation",
    rank_over_time: "rank_over_time",
    order_over_time: "rank_over_time",
    look_ahead_resampling: "look_ahead_resampling",
    month_of_the_row: "look_ahead_resampling",
    reversed_time: "reversed_time",
    reversed_array: "reversed_time",
    two_sided_filter: "two_sided_filter",
    smoothed: "two_sided_filter",
    fourier: "two_sided_filter",
    shuffled_split: "shuffled_split",
    whole_sample_binning: "whole_sample_binning",
    whole_sample_clipping: "whole_sample_clipping",
    fitted_on_everything: "fitted_on_everything",
    fitted_in_place: "fitted_on_everything",
    trend_removed: "fitted_on_everything",
    whole_sample_extreme: "whole_sample_extreme",
    target_encoding: "target_encoding",
    forward_join: "forward_join",
    next_row: "forward_join",
    days_that_remain: "future_calendar",
    last_value: "future_values",
    in_a_helper: "whole_sample_normalisation",
    handed_down: "whole_sample_normalisation",
    through_a_branch: "future_values",
    read_by_a_nested_function: "whole_sample_extreme",
    through_a_branch_not_taken: "future_values",
    one_bad_column: "centred_window",
}
"""Each function of a price Series, and its kind."""
