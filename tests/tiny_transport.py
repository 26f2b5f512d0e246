"""Small stand-ins for the packages of the suite `transport`: airports, countries, time zones and laws."""

import csv
import sqlite3
from contextlib import closing
from pathlib import Path

from jaxkd.evals.suites.transport.sources import (
    TRANSPORT_LAWS,
    Sources,
    read_airports,
    read_articles,
    read_countries,
    read_zone_offsets,
)

COUNTRIES = {"AA": "Aland", "BB": "Borduria", "CB": "Carbombya", "DD": "Dinotopia", "EE": "Evallonia"}
ZONES = dict(
    zip(COUNTRIES, (f"Europe/{name}" for name in ("Alpha", "Beta", "Gamma", "Delta", "Old_Alpha")), strict=True)
)
CITIES = ("Mirabel", "Ostrava", "Pulsnitz", "Quedlin", "Rovaniemi", "Sisteron")
PERSONS = ("Abelard", "Bertold", "Cassian", "Drusus", "Ekkehard", "Fulbert")

TIME_ZONES = """\
# version 2026f
R E 1980 o - Ap 1 0 1 S
Z Europe/Alpha -0:1:15 - LMT 1847
0 E GMT/BST 1968
0 E GMT/BST
Z Europe/Beta 1 - CET
Z Europe/Gamma -3:30 E N%sT 2000
2 E EE%sT
Z Europe/Delta 3 - MSK
L Europe/Alpha Europe/Old_Alpha
"""

ARTICLES = (
    ("第一条", "为了加强管理，保障运输的安全与畅通，制定本法。"),
    ("第二条", "申请人应当自决定作出之日起三十日内提交材料。\n逾期的，处二百元以上二千元以下的罚款。"),
    (
        "第三条",
        "有下列行为之一的，由主管部门责令改正，处{fine}以下的罚款：\n（一）擅自改变用途的；\n（二）拒不接受检查的。",
    ),
    ("第四条", "{subject}沿线二十米以内禁止堆放物品，本条自1998年1月1日起施行。"),
    ("第五条", "{rule}"),
)
"""Articles of each law: `fine`, `rule` and `subject` differ from law to law."""
_FINES = ("一万元", "二万元", "三万元", "五万元", "十万元", "二十万元", "三十万元")
_RULES = (
    "驾驶人驾驶车辆应当按照信号灯和交通标线通行，让行人先走。",
    "旅客乘车应当持有效车票，按票面载明的车次和座位乘坐。",
    "收费站应当公布收费标准、期限和审批机关，接受社会监督。",
    "船长发现遇险人员，在不危及自身安全时有救助的义务。",
    "码头经营人装卸危险货物，须先申报品名、包装和存放位置。",
    "浮标移位或者损坏的，养护单位负责修复，同时发布通告。",
    "征用民用运力的，事后予以返还；造成损失的，给予补偿。",
)


def write_airports(path: Path) -> Path:
    """Write six airports of each country, about 550 km apart, and one without an IATA code."""
    names = ("icao", "iata", "name", "city", "subd", "country", "elevation", "lat", "lon", "tz", "lid")
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for east, (code, country) in enumerate(COUNTRIES.items()):
            for north, (city, person) in enumerate(zip(CITIES, PERSONS, strict=True)):
                row = {"iata": f"{code}{city[0]}", "country": code, "lat": 5.0 * north, "lon": 8.0 * east}
                row |= {"name": f"{person} {code.title()}o International Airport", "city": f"{city} {country[:2]}"}
                writer.writerow({"tz": ZONES[code], "elevation": 0} | row)
        writer.writerow({"iata": "", "name": "Nowhere Field", "country": "AA", "lat": 0, "lon": 0})
    return path


def write_laws(path: Path) -> Path:
    """Write the transport laws, one of them also in an older version, and a law on something else."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "CREATE TABLE articles "
            "(id INTEGER PRIMARY KEY, law_name TEXT, status TEXT, article_no TEXT, article_text TEXT)"
        )
        insert = "INSERT INTO articles (law_name, status, article_no, article_text) VALUES (?, ?, ?, ?)"
        for law, fine, rule in zip(TRANSPORT_LAWS, _FINES, _RULES, strict=True):
            for number, text in ARTICLES:
                text = text.format(fine=fine, rule=rule, subject=law.removesuffix("法"))
                database.execute(insert, (f"中华人民共和国{law}", "现行有效", number, text))
        database.execute(insert, ("中华人民共和国铁路法", "历史版本", "第九条", "已经失效的条文，处一百元罚款。"))
        database.execute(insert, ("中华人民共和国邮政法", "现行有效", "第一条", "另一部法律的条文，处一百元罚款。"))
    return path


def tiny_sources(folder: Path) -> Sources:
    """Write all files into a folder and read them."""
    (folder / "iso3166.tab").write_text(
        "# comment\n" + "".join(f"{code}\t{name}\n" for code, name in COUNTRIES.items()), encoding="utf-8"
    )
    (folder / "tzdata.zi").write_text(TIME_ZONES, encoding="utf-8")
    return Sources(
        airports=read_airports(write_airports(folder / "airports.csv")),
        countries=read_countries(folder / "iso3166.tab"),
        zone_offsets_s=read_zone_offsets(folder / "tzdata.zi"),
        articles=read_articles(write_laws(folder / "laws.db")),
    )
