"""The no-loss proof: kill the gateway at random under load, then let an auditor compare what everybody saw.

*Strategy.* Four parties in processes of their own that share nothing but sockets and files: senders and receivers, raw
SMTP written from the wire reference without a line of the gateway's code; the gateway, which is killed and started
again on the same data; and afterwards an auditor, who reads what the senders were told, what the receivers got and what
the store holds, and compares (reliability, "The gates", R1, R2, R12). ``senders.py`` and ``receivers.py`` are the
load, ``house.py`` the gateway with its crash points and its hasty twin, ``cycles.py`` the kills, ``audit.py`` the
judgement, ``synced.py`` the count of synced commits.

    python -m sekisho.gateway.proof --cycles 200
"""
