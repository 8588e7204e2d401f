"""Who asks: from a head to a verified identity, and to the head without what proved it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from gateway.auth import identify
from gateway.auth.candidates import PublicFace, candidates, difference
from gateway.auth.explain import Surroundings, explain
from gateway.auth.proven import ProvenUrls, Shown
from gateway.dialects import registry, rights
from gateway.errors import ApiError
from gateway.request import HostMap, RequestHead, locate

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.auth.identify import Verified
    from gateway.journeys.vendor_call import Services
    from gateway.telemetry import RequestRecord, Telemetry


@dataclass(frozen=True, slots=True)
class Who:
    """Says who asks, under the settings of the moment: new ones make a new one of these."""

    services: Services
    hosts: HostMap
    default_dialect: str
    face: PublicFace
    telemetry: Telemetry
    proven: ProvenUrls = field(default_factory=ProvenUrls)

    def shown(self, head: RequestHead) -> Shown:
        """Return what the head shows, proven or not; of a URL that was proven it is known. Raises INVALID_URI."""
        return self.proven.find(head) or self._looked_at(head)

    def _looked_at(self, head: RequestHead) -> Shown:
        schemes = identify.recognised(head)
        names = tuple([scheme.NAME for scheme in schemes])
        dialect = registry.select(head, names, self.hosts, self.default_dialect)
        return Shown(schemes, names, dialect.NAME, locate(head, self.hosts))

    def verified(
        self, head: RequestHead, shown: Shown, record: RequestRecord, now: datetime
    ) -> tuple[Verified, RequestHead]:
        """Prove who asks; return that and the head without the claim. Raises ApiError unless everything is right."""
        keyring, max_life_s = self.services.keys.current, self.services.settings.keys.max_url_life_s
        if known := shown.proven:
            with record.verifying():
                verified = identify.again(known, head, keyring, now)
            if verified:
                identify.check_life(known.claim, now, max_life_s)
                record.identity = verified.identity.name
                return verified, head.with_query_of(known.asked)
        target, found = shown.target, identify.find_claim(head, shown.schemes)
        heads = candidates(head, found[1], target, self.face, partial(locate, hosts=self.hosts)) if found else ()
        with record.verifying():
            verified = identify.identify(heads, found, target, keyring, now)
        record.identity = verified.identity.name
        if found is None or verified.signed_as is None:
            return verified, head
        record.signed_as = difference(head, verified.signed_as)
        scheme, claim = found
        identify.check_life(claim, now, max_life_s)
        setting = self.services.settings.dialects.cos.unsigned_process
        uncovered = identify.check_process_coverage(
            claim, target, registry.process_parameters(head), cos_unsigned=setting
        )
        if uncovered:
            self.telemetry.uncovered(record)
        rights.refuse_uncovered(claim.covers, head.parameter_names)
        used_up = scheme.CLAIM_PARAMETERS if claim.in_query else frozenset()
        stripped = head.without_parameters(used_up)
        if verified.signed_as is head and not uncovered:
            self.proven.add(head, shown, verified, stripped)
        return verified, stripped

    def explained(self, error: ApiError, head: RequestHead) -> ApiError:
        """Add to a refused signature what may be wrong with it, where the settings say so."""
        if not self.services.settings.server.explain_refusals:
            return error
        around = Surroundings(self.services.keys.current, self.hosts, self.face, self.services.clock())
        return ApiError(error.kind, error.detail, fields=(*error.fields, *explain(head, around)))
