"""UPnP's Internet Gateway Device, versions 1 and 2: descriptions, actions over SOAP, and error codes.

Pure: bytes in, values out, and back. A router's XML is hostile: it is read with defusedxml, without DTD and
entities, and its size, depth and number of elements are bounded. Decoders raise ProtocolError and nothing
else, for any bytes.
"""

from nattools.protocols.igd.actions import (
    GET_EXTERNAL_ADDRESS,
    GET_FIREWALL_STATUS,
    GET_STATUS,
    Call,
    ErrorCode,
    Fault,
    add_pinhole,
    add_port_mapping,
    check_pinhole_working,
    delete_pinhole,
    delete_port_mapping,
    encode_call,
    get_generic_entry,
    get_specific_entry,
    parse_answer,
)
from nattools.protocols.igd.description import Description, Service, parse_description
from nattools.protocols.igd.results import (
    Answer,
    FirewallStatus,
    PortMappingEntry,
    Status,
    read_entry,
    read_external_address,
    read_firewall_status,
    read_is_working,
    read_reserved_port,
    read_status,
    read_unique_id,
)

__all__ = [
    "GET_EXTERNAL_ADDRESS",
    "GET_FIREWALL_STATUS",
    "GET_STATUS",
    "Answer",
    "Call",
    "Description",
    "ErrorCode",
    "Fault",
    "FirewallStatus",
    "PortMappingEntry",
    "Service",
    "Status",
    "add_pinhole",
    "add_port_mapping",
    "check_pinhole_working",
    "delete_pinhole",
    "delete_port_mapping",
    "encode_call",
    "get_generic_entry",
    "get_specific_entry",
    "parse_answer",
    "parse_description",
    "read_entry",
    "read_external_address",
    "read_firewall_status",
    "read_is_working",
    "read_reserved_port",
    "read_status",
    "read_unique_id",
]
