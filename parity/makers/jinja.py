"""Makes parity/fixtures/jinja.json: what transformers' renderer makes of templates and conversations, all written for this file.

usage: python jinja.py OUT_FILE        (needs transformers and jinja2; the day is fixed to 26 July 2024)

Format: {"source": "jinja2 VERSION, transformers VERSION", "templates": {NAME: TEXT}, "conversations": [VARIABLES],
  "cases": {NAME: [TEXT, or null where the renderer refuses, one for each conversation]}, "lines": [[TEMPLATE, TEXT or null]],
  "variables": the variables of the lines}
The templates use together the constructs of the chat templates that are common: loop controls, name spaces, macros, reversed and sliced
lists, nested tool schemas, reasoning that is cut out, dates. The lines try one construct each.
"""
import datetime
import json
import sys
from importlib.metadata import version

from transformers.utils import chat_template_utils

TEMPLATES = {
    # roles in angle brackets; tools in the first user turn or in the system turn; a date; trimmed contents
    "headers": r"""{{- bos_token }}
{%- if custom_tools is defined %}{% set tools = custom_tools %}{% endif %}
{%- if tools_in_user is not defined %}{%- set tools_in_user = true %}{%- endif %}
{%- if not date is defined %}
    {%- if strftime_now is defined %}{%- set date = strftime_now("%d %b %Y") %}
    {%- else %}{%- set date = "1 Jan 2000" %}{%- endif %}
{%- endif %}
{%- if not tools is defined %}{%- set tools = none %}{%- endif %}
{%- if messages and messages[0]['role'] == 'system' %}
    {%- if messages[0]['content'] is string %}{%- set head = messages[0]['content']|trim %}
    {%- else %}{%- set head = messages[0]['content'][0]['text']|trim %}{%- endif %}
    {%- set messages = messages[1:] %}
{%- else %}{%- set head = "" %}{%- endif %}
{{- "<head:system>\n\n" }}
{%- if tools is not none %}{{- "Environment: tools\n" }}{%- endif %}
{{- "Today: " + date + "\n\n" }}
{%- if tools is not none and not tools_in_user %}
    {%- for t in tools %}{{- t | tojson(indent=4) }}{{- "\n\n" }}{%- endfor %}
{%- endif %}
{{- head }}{{- "<end>" }}
{%- if tools_in_user and not tools is none %}
    {%- if messages | length != 0 %}{%- set first = messages[0]['content']|trim %}{%- set messages = messages[1:] %}
    {%- else %}{{- raise_exception("Tools need a first user message!") }}{%- endif %}
    {{- '<head:user>\n\n' -}}{{- "Answer with {\"name\": ..., \"parameters\": ...}.\n" }}
    {%- for t in tools %}{{- t | tojson(indent=4) }}{{- "\n\n" }}{%- endfor %}
    {{- first + "<end>"}}
{%- endif %}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<head:' + message['role'] + '>\n\n'+ message['content'] | trim + '<end>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}{{- raise_exception("One tool call at a time!") }}{%- endif %}
        {%- set call = message.tool_calls[0].function %}
        {{- '<head:assistant>\n\n{"name": "' + call.name + '", "parameters": ' }}{{- call.arguments | tojson }}{{- "}<end>" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<head:ipython>\n\n" }}
        {%- if message.content is mapping or message.content is iterable %}{{- message.content | tojson }}
        {%- else %}{{- message.content }}{%- endif %}{{- "<end>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<head:assistant>\n\n' }}{%- endif %}
""",
    # turns between marks; the last real question is sought from behind; reasoning is kept after it only
    "marks": r"""{%- if tools %}
    {{- '<|in|>system\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\n\n' }}{%- endif %}
    {{- "# Tools\n<tools>" }}
    {%- for tool in tools %}{{- "\n" }}{{- tool | tojson }}{%- endfor %}
    {{- "\n</tools><|out|>\n" }}
{%- else %}
    {%- if messages and messages[0].role == 'system' %}{{- '<|in|>system\n' + messages[0].content + '<|out|>\n' }}{%- endif %}
{%- endif %}
{%- set ns = namespace(seeking=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.seeking and message.role == "user" and message.content is string and not(message.content.startswith('<result>') and message.content.endswith('</result>')) %}
        {%- set ns.seeking = false %}{%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}{%- set content = message.content %}{%- else %}{%- set content = '' %}{%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|in|>' + message.role + '\n' + content + '<|out|>' + '\n' }}
    {%- elif message.role == "assistant" %}
        {%- set thought = '' %}
        {%- if message.reasoning_content is string %}{%- set thought = message.reasoning_content %}
        {%- else %}{%- if '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}{%- endif %}
        {%- if loop.index0 > ns.last and (loop.last or (not loop.last and thought)) %}
            {{- '<|in|>' + message.role + '\n<think>\n' + thought.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') }}
        {%- else %}{{- '<|in|>' + message.role + '\n' + content }}{%- endif %}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}
                {%- if (loop.first and content) or (not loop.first) %}{{- '\n' }}{%- endif %}
                {%- if tool_call.function %}{%- set tool_call = tool_call.function %}{%- endif %}
                {{- '<call>\n{"name": "' }}{{- tool_call.name }}{{- '", "arguments": ' }}
                {%- if tool_call.arguments is string %}{{- tool_call.arguments }}{%- else %}{{- tool_call.arguments | tojson }}{%- endif %}
                {{- '}\n</call>' }}
            {%- endfor %}
        {%- endif %}
        {{- '<|out|>\n' }}
    {%- elif message.role == "tool" %}
        {%- if loop.first or (messages[loop.index0 - 1].role != "tool") %}{{- '<|in|>user' }}{%- endif %}
        {{- '\n<result>\n' }}{{- content }}{{- '\n</result>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}{{- '<|out|>\n' }}{%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|in|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}
{%- endif %}""",
    # instructions in brackets; turns must alternate; ids of tool calls are checked
    "brackets": r"""{%- if messages and messages[0]["role"] == "system" %}{%- set system_message = messages[0]["content"] %}{%- set loop_messages = messages[1:] %}
{%- else %}{%- set loop_messages = messages %}{%- endif %}
{%- if not tools is defined %}{%- set tools = none %}{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace(index=0) %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}{{- raise_exception("Roles must alternate") }}{%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}{{- '"' + key + '": "' + val + '"' }}{%- else %}{{- '"' + key + '": ' + val|tojson }}{%- endif %}
                    {%- if not loop.last %}{{- ", " }}{%- endif %}
                {%- endfor %}
                {{- "}}" }}{%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" }}{%- endif %}
            {%- endfor %}
            {{- "[/TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}{{- "[I] " + system_message + "\n\n" + message["content"] + "[/I]" }}
        {%- else %}{{- "[I] " + message["content"] + "[/I]" }}{%- endif %}
    {%- elif message.tool_calls is defined and message.tool_calls is not none %}
        {{- "[CALLS] [" }}
        {%- for tool_call in message.tool_calls %}
            {%- set out = tool_call.function|tojson %}{{- out[:-1] }}
            {%- if not tool_call.id is defined or tool_call.id|length != 9 %}{{- raise_exception("Tool call ids have 9 characters!") }}{%- endif %}
            {{- ', "id": "' + tool_call.id + '"}' }}{%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" + eos_token }}{%- endif %}
        {%- endfor %}
    {%- elif message["role"] == "assistant" %}{{- " " + message["content"]|trim + eos_token}}
    {%- elif message["role"] == "tool" %}
        {%- if message.content is defined and message.content.content is defined %}{%- set content = message.content.content %}
        {%- else %}{%- set content = message.content %}{%- endif %}
        {{- '[RESULT] {"content": ' + content|string + "}[/RESULT]" }}
    {%- else %}{{- raise_exception("Unknown role: " ~ message.role) }}{%- endif %}
{%- endfor %}
""",
    # the system text goes before the first question; the assistant has another name; contents may be lists of parts
    "turns": r"""{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}{%- set prefix = messages[0]['content'] + '\n\n' -%}
    {%- else -%}{%- set prefix = messages[0]['content'][0]['text'] + '\n\n' -%}{%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}{%- set prefix = "" -%}{%- set loop_messages = messages -%}{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}{{ raise_exception("Roles must alternate user/assistant/...") }}{%- endif -%}
    {%- if (message['role'] == 'assistant') -%}{%- set role = "model" -%}{%- else -%}{%- set role = message['role'] -%}{%- endif -%}
    {{ '<turn>' + role + '\n' + (prefix if loop.first else "") }}
    {%- if message['content'] is string -%}{{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}{{ '<image>' }}{%- elif item['type'] == 'text' -%}{{ item['text'] | trim }}{%- endif -%}
        {%- endfor -%}
    {%- else -%}{{ raise_exception("Invalid content type") }}{%- endif -%}
    {{ '</turn>\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{'<turn>model\n'}}{%- endif -%}
""",
    # macros that write a tool's schema as a type; nested, with defaults
    "schema": r"""{%- macro type_of(p, depth=0) -%}
    {%- if p.enum -%}{{ p.enum | map('tojson') | join(' | ') }}
    {%- elif p.type == "object" and p.properties -%}
        {{- "{\n" }}
        {%- for name, inner in p.properties.items() -%}
            {{- "  " * (depth + 1) }}{{ name }}{{ "?" if name not in (p.required or []) }}: {{ type_of(inner, depth + 1) }}
            {%- if inner.default is defined %}{{ " = " ~ inner.default }}{% endif -%}
            {{- ",\n" if not loop.last else "\n" }}
        {%- endfor -%}
        {{- "  " * depth + "}" }}
    {%- elif p.type == "array" -%}{{ type_of(p['items'], depth) if p['items'] else "any" }}[]
    {%- elif p.type is iterable and p.type is not string -%}{{ p.type | join(' | ') }}
    {%- else -%}{{ {"integer": "number", "number": "number", "boolean": "boolean"}.get(p.type, p.type or "any") }}
    {%- endif -%}
{%- endmacro -%}
{%- macro signature(fn) -%}
// {{ fn.description | default('no description', true) | replace('\n', '\n// ') }}
type {{ fn.name }} = (_: {{ type_of(fn.parameters) }}) => {{ fn['return'].type if fn['return'] else 'any' }};
{% endmacro -%}
{%- if tools %}{% for tool in tools | map(attribute='function') | sort(attribute='name') %}{{ signature(tool) }}{% endfor %}{% endif %}
{% for m in messages if m.role != 'tool' %}
{{ m.role | upper }}{{ ' (%d of %d)' % (loop.index, loop.length) }}: {% generation %}{{ m.content or '-' }}{% endgeneration %}

{% endfor %}""",
    # state in a name space; reasoning is cut; results are joined; a message is skipped or ends the text
    "states": r"""{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set ns = namespace(is_first=false, is_tool=false, is_output_first=true, system_prompt='') %}{%- for message in messages %}{%- if message['role'] == 'system' %}{% set ns.system_prompt = message['content'] %}{%- endif %}{%- endfor %}{{bos_token}}{{ns.system_prompt}}{%- for message in messages %}{%- if message['role'] == 'system' %}{% continue %}{%- endif %}{%- if message['role'] == 'stop' %}{% break %}{%- endif %}{%- if message['role'] == 'user' %}{%- set ns.is_tool = false -%}{{'<U>' + message['content']}}{%- endif %}{%- if message['role'] == 'assistant' and message['content'] is none %}{%- set ns.is_tool = false -%}{%- for tool in message['tool_calls']%}{%- if not ns.is_first %}{{'<A><calls><call>' + tool['type'] + '<sep>' + tool['function']['name'] + '\n```json\n' + (tool['function']['arguments'] if tool['function']['arguments'] is string else tool['function']['arguments']|tojson) + '\n```</call>'}}{%- set ns.is_first = true -%}{%- else %}{{'\n<call>' + tool['function']['name'] + '</call>'}}{%- endif %}{%- endfor %}{{'</calls>' + eos_token}}{%- endif %}{%- if message['role'] == 'assistant' and message['content'] is not none %}{%- if ns.is_tool %}{{'</results>' + message['content'] + eos_token}}{%- set ns.is_tool = false -%}{%- else %}{% set content = message['content'] %}{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}{{'<A>' + content + eos_token}}{%- endif %}{%- endif %}{%- if message['role'] == 'tool' %}{%- set ns.is_tool = true -%}{%- if ns.is_output_first %}{{'<results><result>' + message['content'] + '</result>'}}{%- set ns.is_output_first = false %}{%- else %}{{'\n<result>' + message['content'] + '</result>'}}{%- endif %}{%- endif %}{%- endfor -%}{% if ns.is_tool %}{{'</results>'}}{% endif %}{% if add_generation_prompt and not ns.is_tool %}{{'<A>'}}{% endif %}""",
    # call blocks, set blocks, filters on blocks, with, raw, comments, a recursive loop, a loop's else, white space by hand
    "blocks": r"""{#- a comment with {{ braces }} and {% tags %} -#}
{% macro box(title, width=12) %}
+{{ title | center(width) }}+
{{ caller(width) if caller else "(empty)" }}
{{ varargs | length }}{{ kwargs | dictsort }}
{% endmacro %}
    {% set head %}
  {{ messages | length }} message{{ "s" if messages | length != 1 }}
    {% endset %}
{{- head | trim | upper }}
{% raw %}{{ kept }} {% as it is %}{% endraw %}

  {%+ if messages %}kept spaces{% endif %}
{% for m in messages %}
    {% with role = m.role, text = m.content | string %}
  {% call(w) box(role, width=16, n=loop.index) %}{{ text[:w] | indent(2, true) }}{% endcall %}
    {% endwith %}
    {% if loop.index > 2 %}{% break %}{% endif %}
{% else %}
nobody spoke
{% endfor %}
{%- filter replace("a", "4") | title %} all that is said: {{ messages | map(attribute='role') | unique | join(', ') }} {% endfilter %}
{% for node in [{'n': 'a', 'c': [{'n': 'b', 'c': [{'n': 'c'}]}, {'n': 'd'}]}] recursive %}
{{ "-" * loop.depth0 }}{{ node.n }}{{ loop.cycle('!', '?') }}{{ "" if node.c is not defined else "\n" ~ loop(node.c) }}
{%- endfor %}

{% for m in messages %}{{ loop.previtem.role if loop.previtem is defined }}>{{ m.role }}>{{ (loop.nextitem or {}).role }}{{ ' new' if loop.changed(m.role) }};{{ loop.revindex }}{{ loop.last }} {% endfor %}
""",
    # everything is printed as Python prints it
    "prints": r"""{{ messages }}|{{ tools }}|{{ documents }}|{{ add_generation_prompt }}|{{ unknown }}|{{ [unknown, none, true, 1, 1.0, -0.5, 1e100, 'it\'s', "\"", '\'"'] }}
{%- for m in messages %}
{{ loop.index }}: {{ m.items() | list }} {{ m.keys() }} {{ m.values() | map('string') | map('length') | list }} {{ m | tojson(sort_keys=true) }} {{ m | tojson(ensure_ascii=true, separators=(',', ':')) }}
{%- for word in (m.content | string).split() if word | length > 2 %} {{ word | capitalize }}{{ word | reverse }}{{ word[1:-1] }}{{ word[::2] }}{% if loop.index >= 3 %}{% break %}{% endif %}{% endfor %}
{%- endfor %}""",
}

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather <now>\nin a \"city\".",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Its name & country"},
                "days": {"type": "integer", "enum": [1, 3, 7]},
                "where": {"type": "object", "properties": {"lat": {"type": "number"}, "tags": {"type": "array", "items": {"type": ["string", "null"]}}}, "required": ["lat"]},
                "unit": {"type": "string", "default": "°C"},
            },
            "required": ["city"],
        },
        "return": {"type": "string"},
    },
}
OTHER = {"type": "function", "function": {"name": "add", "description": "", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "boolean"}}}}}
CALL = {"id": "call00001", "type": "function", "function": {"name": "weather", "arguments": {"city": "Zürich \"ZH\"", "days": 3, "where": {"lat": 47.5, "tags": [None, True, "<b>&'"]}, "n": 12345678901234}}}
AS_TEXT = {"id": "call00002", "type": "function", "function": {"name": "add", "arguments": "{\"a\": 1}"}}
NAMES = {"bos_token": "<s>", "eos_token": "</s>", "tools": None, "documents": None, "add_generation_prompt": False}


def turn(role: str, content, **more) -> dict:
    return {"role": role, "content": content, **more}


CONVERSATIONS = [
    {**NAMES, "messages": [turn("user", "Who built the mill?")], "add_generation_prompt": True},
    {**NAMES, "messages": [turn("system", "Be brief.\n"), turn("user", "  Hello \n"), turn("assistant", " Hi. "), turn("user", "And?")], "add_generation_prompt": True},
    {**NAMES, "messages": []},
    {**NAMES, "messages": [turn("system", "Only this.")]},
    {**NAMES, "messages": [turn("user", "{{ 7 * 7 }} {% raise %} {# x #}"), turn("assistant", "it's \"quoted\" \\ and 'single'"), turn("user", "tab\there\r\nnew\x07bell\x7f\x85\u2028end\u200b\ufeff")]},
    {**NAMES, "messages": [turn("user", "ǅungla ΑΣ straße İ 😀🏳️‍🌈 e\u0301"), turn("assistant", "答え：４２。"), turn("user", "<think>no</think> <result>x</result>")], "add_generation_prompt": True},
    {**NAMES, "messages": [turn("user", "a"), turn("assistant", "<think>\nwhy\n</think>\n\n  b\n"), turn("user", "c"), turn("assistant", "d", reasoning_content="\nbecause\n")]},
    {**NAMES, "messages": [turn("system", "Use tools."), turn("user", "Weather?"), turn("assistant", None, tool_calls=[CALL]), turn("tool", "{\"t\": 21.5}", tool_call_id="call00001"), turn("assistant", "21.5°C")], "tools": [TOOL, OTHER]},
    {**NAMES, "messages": [turn("user", "Both?"), turn("assistant", "Wait.", tool_calls=[CALL, AS_TEXT]), turn("tool", "1"), turn("tool", "2")], "tools": [OTHER, TOOL], "add_generation_prompt": True, "enable_thinking": False},
    {**NAMES, "messages": [turn("user", [{"type": "text", "text": " Look: "}, {"type": "image"}, {"type": "text", "text": "this"}]), turn("assistant", [{"type": "text", "text": "I see."}])], "add_generation_prompt": True},
    {**NAMES, "messages": [turn("user", "a"), turn("user", "b"), turn("stop", "x"), turn("assistant", "c")], "documents": [{"title": "T", "text": "D"}]},
    {**NAMES, "messages": [turn("user", 5), turn("assistant", {"n": [1e16, 1.5e-7, 0.1, 9007199254740991, True, None]})], "tools_in_user": False, "tools": [OTHER]},
]

VARIABLES = {
    "s": "Hello, World", "e": "", "n": 7, "x": 2.5, "l": [3, 1, 2], "w": ["b", "A", "c", "a"], "d": {"b": 2, "a": 1, "C": 3}, "t": True, "o": None,
    "r": [{"k": "x", "v": 1}, {"k": "Y", "v": 2}, {"k": "x", "v": 3}], "u": "héllo 😀 wörld", "m": "a\n  b\n\nc\td",
}

EXPRESSIONS = r"""
s.strip('Hd') ~ s.lstrip('eH') ~ s.rstrip('dl')
' a b  c '.split() ~ 'a,b,,c'.split(',') ~ 'a,b,c'.split(',', 1) ~ 'a.b.c'.rsplit('.', 1) ~ ' a b c '.split(none, 1) ~ ' a b c '.rsplit(none, 1)
s.startswith('He') ~ s.endswith(('x', 'ld')) ~ s.startswith('l', 2) ~ s.find('o') ~ s.rfind('o') ~ s.find('zz') ~ s.index('W') ~ s.count('l')
s.index('zz')
s.replace('l', 'L') ~ s.replace('l', 'L', 1) ~ 'ab'.replace('', '-') ~ s.removeprefix('He') ~ s.removesuffix('d') ~ s.removeprefix('x')
s.upper() ~ s.lower() ~ 'ab cd'.title() ~ 'aB'.capitalize() ~ 'aB'.swapcase() ~ "they're".title() ~ "they're"|title ~ u|title
'12'.isdigit() ~ '²'.isdigit() ~ 'é'.isalpha() ~ ' \n'.isspace() ~ ''.isspace() ~ 'a1'.isalnum() ~ 'AB'.isupper() ~ '½'.isnumeric()
'-7'.zfill(5) ~ 'a'.center(4, '*') ~ 'a'.ljust(3) ~ 'a'.rjust(3, '.') ~ 'abc'.center(6) ~ '|'
s.partition(', ') ~ s.rpartition('o') ~ s.partition('zz') ~ m.splitlines() ~ m.splitlines(true) ~ 'a\x0bb\x1cc\x85d\u2028e'.splitlines()
'-'.join(w) ~ ', '.join(['a']) ~ '-'.join(l)
'{} {1}'.format(1, 2)
'{0}-{1!r:>5}-{k:^7}|{0:05d}|{x:.2f}|{d[a]}|{{}}'.format(3, 'a', k='mid', x=2.675, d=d)
'{:,}|{:>8.3e}|{:%}|{:x}|{:#b}|{:+}|{:g}'.format(1234567, 12345.678, 0.256, 255, 5, 3, 0.00001234)
'%s|%5s|%-5s|%r|%d|%05.1f|%x|%e|%g|%%|%c' % ('a', 'b', 'c', "d'", 3.9, 2.25, 255, 12345.678, 1e-5, 65)
'%(a)s and %(b)03d' % {'a': 1, 'b': 2}
'%s' % l ~ '%s %s' % (1, none)
'%s %s' % 1
'x' % l
u|length ~ u[1] ~ u[6] ~ u[-1] ~ u[::-1] ~ u[5:8] ~ u.find('w') ~ u.upper()
s[1:4] ~ s[-3:] ~ s[::2] ~ s[::-1] ~ s[5:1:-2] ~ l[1:] ~ l[::-1] ~ l[-1] ~ l[10:] ~ range(10)[2:8:3]
l[7] is defined ~ l['x'] is defined ~ d['zz'] is defined ~ d.zz is defined ~ s[99] is undefined
d.items is defined ~ d['items'] is defined ~ d.pop is defined ~ l.append is defined ~ s.title is callable
{'items': 1}.items is callable ~ {'items': 1}['items'] ~ {'get': 2}.get('get')
d.get('b') ~ d.get('zz') ~ d.get('zz', 5) ~ d.keys() ~ d.values()|list ~ d.items() ~ d.copy()
d.pop('a')
l.append(4)
d.update({'q': 1})
d.__class__
''.__class__.__mro__
{1: 'a', '1': 'b', 1.0: 'c', true: 'd', none: 'e', (1, 2): 'f'}
{1: 'a'}[1] ~ {1: 'a'}[1.0] ~ {'1': 'a'}[1] ~ {1: 'a'}['1']
[1, 1.0, true, none, 'a', "it's", '"', '\'"', '\\', '\n\t\x00\x7fé\u200b😀', (1,), (), {}, [[]]]
1.0 ~ 1e15 ~ 1e16 ~ 123456789.123 ~ 1e-4 ~ 1e-5 ~ 0.1 + 0.2 ~ -0.0 ~ 5e-324 ~ 1e300 * 1e10
2**100 ~ 9007199254740993 ~ 12345678901234567890 * 10 ~ -7 // 2 ~ -7 % 3 ~ 7.5 // 2 ~ -7.5 % 2 ~ 7 / 2 ~ 6 / 2 ~ 2 ** -1 ~ 2 ** 0.5
1 / 0
1 // 0.0
true + true ~ true * 3 ~ 'ab' * 2 ~ [1] * 2 ~ (1,) + (2,) ~ -true
'a' + 1
1 + none
'a' ~ 1 ~ none ~ true ~ 1.0 ~ [1]
1 < 2 < 3 ~ 1 < 3 < 2 ~ 1 == 1.0 == true ~ 'a' < 'b' ~ [1, 2] < [1, 3] ~ 'a' == 1 ~ none == undefinedname ~ ('a' in s) ~ ('H' in s) ~ (4 not in l) ~ ('b' in d)
1 < 'a'
1 in 'a'
1 in none
not none ~ not '' ~ not [] ~ not 0 ~ not 0.0 ~ not {} ~ not 'a' ~ (o or 'x') ~ (s and 0) ~ (undefinedname or 1)
'yes' if n > 5 else 'no'
'yes' if n < 5
('yes' if n < 5) is defined
('yes' if n < 5).x
undefinedname ~ '|' ~ [undefinedname] ~ undefinedname|length ~ undefinedname|upper ~ undefinedname|list ~ undefinedname|join ~ undefinedname|string ~ undefinedname|default('d')
undefinedname.x
undefinedname['x']
undefinedname()
undefinedname + 1
undefinedname|int
undefinedname|tojson
undefinedname|selectattr('a')|list ~ none|selectattr('a')|list ~ none|map('upper')|list ~ undefinedname|items|list ~ undefinedname|sort ~ undefinedname|sum ~ undefinedname|first
none.x is defined ~ none['x'] is defined
none.x.y
o[1:]
o|default('d') ~ o|default('d', true) ~ e|d('x', true) ~ e|d('x') ~ undefinedname|d
e|length ~ d|length ~ range(4)|length ~ d.items()|length
n|length
s|trim('Hd') ~ '  a '|trim ~ none|trim ~ 12|trim
d|tojson ~ [1, 1.5, none, true, 'é"\\\n</script>', {'1': {2: [3]}}]|tojson ~ (1, 2)|tojson ~ {none: 1, true: 2, 1.5: 3}|tojson ~ {(1,): 1}|default|string
{(1, 2): 1}|tojson
d|tojson(indent=2) ~ []|tojson(indent=2) ~ {'a': []}|tojson(indent=1) ~ d|tojson(sort_keys=true) ~ u|tojson(ensure_ascii=true) ~ d|tojson(separators=(',', ':')) ~ d|tojson(false, 4)
r|map(attribute='k')|join(',') ~ r|map(attribute='zz', default='-')|join ~ w|map('upper')|list ~ w|map('replace', 'a', 'z')|list ~ [[1, 2], [3]]|map('first')|list ~ r|map(attribute='k.0')|list
r|selectattr('k', 'equalto', 'x')|list ~ r|selectattr('v', '>', 1)|map(attribute='v')|list ~ r|rejectattr('k', 'in', ['x'])|list ~ r|selectattr('zz')|list ~ [0, 1, '', 'a', none]|select|list ~ l|select('odd')|list ~ l|reject('divisibleby', 3)|list
w|sort ~ w|sort(case_sensitive=true) ~ w|sort(reverse=true) ~ r|sort(attribute='k,v')|map(attribute='v')|list ~ d|dictsort ~ d|dictsort(true) ~ d|dictsort(false, 'value', true)
[1, 'a']|sort
w|unique|list ~ ['a', 'A', 'b']|unique|list ~ [1, 1.0, true]|unique|list ~ r|unique(attribute='k')|list ~ w|min ~ w|max ~ l|max ~ r|max(attribute='v') ~ []|min ~ l|sum ~ r|sum(attribute='v', start=10)
l|reverse|list ~ 'abc'|reverse ~ d|reverse|list ~ l|first ~ l|last ~ []|first ~ []|last ~ d|first ~ s|last
range(7)|batch(3)|list ~ range(7)|batch(3, 'x')|list ~ range(7)|slice(3)|list ~ range(7)|slice(3, 'x')|list
r|groupby('k') ~ (r|groupby('k'))[0].grouper ~ (r|groupby('k')|first).list
'12'|int ~ '12.7'|int ~ 'x'|int ~ 'x'|int(-1) ~ '0x1f'|int(base=16) ~ 3.9|int ~ none|int ~ true|int ~ '1_000'|int ~ ' 5 '|int ~ '1.5'|float ~ 'x'|float ~ 'inf'|float ~ 3|float
2.5|round ~ 3.5|round ~ 2.675|round(2) ~ 42|round ~ 1234|round(-2) ~ 2.1|round(0, 'ceil') ~ 2.19|round(1, 'floor') ~ -3|abs ~ -2.5|abs
m|indent ~ m|indent(2, true) ~ m|indent('> ', blank=true) ~ s|truncate(8) ~ s|truncate(9, true) ~ s|truncate(6, false, '!', 0) ~ s|center(20) ~ '|' ~ s|wordcount ~ 'a b/ü?&'|urlencode ~ {'a': 1, 'b': 'x y'}|urlencode
'<a href="x">'|e ~ ('<'|safe) + '>' ~ ['<'|safe, '<'|e] ~ '<'|safe|upper ~ ('<b>'|safe) % '<' ~ ('<'|e)|e ~ ('<'|e)|forceescape ~ '%s'|format('<')
'%s %d'|format('a', 3) ~ '%(k)s'|format(k=1)
1 is number ~ 1.0 is float ~ 1 is integer ~ true is integer ~ true is boolean ~ true is number ~ 's' is string ~ [] is sequence ~ {} is sequence ~ {} is mapping ~ (1,) is iterable ~ 1 is iterable ~ range(2) is sequence
undefinedname is undefined ~ undefinedname is iterable ~ undefinedname is sequence ~ none is none ~ o is defined ~ 3 is odd ~ 4 is even ~ 9 is divisibleby 3 ~ 'a' is in 'abc' ~ 1 is eq 1.0 ~ 2 is gt 1 ~ true is sameas true ~ 1 is sameas true ~ 'ab' is lower ~ 'AB' is upper ~ range is callable ~ false is false ~ 'upper' is filter ~ 'odd' is test
s is not string ~ s is string and n is number ~ n is not divisibleby(2)
namespace(a=1, b='x') ~ namespace(d).b ~ dict(a=1, **{'b': 2}) ~ dict([('x', 1)]) ~ dict(d, a=9)
range(3)|list ~ range(5, 0, -2)|list ~ range(3) ~ range(0) ~ range(1, 10, 3)[1]
range(1.5)
range(0, 5, 0)
cycler('a', 'b').next() ~ cycler('a', 'b').current ~ joiner('-')() ~ lipsum is defined
strftime_now('%Y-%m-%d') ~ strftime_now('%d %B %Y') ~ strftime_now('%b %A %j')
raise_exception('no ' ~ n)
s|frobnicate
s is frobnicate
'frobnicate' if false else (s|frobnicate if false else 1)
s(1)
s.strip(1)
s.strip(chars='H')
s.zz()
w|join(', ', attribute='x') ~ l|join('-') ~ r|join(';', 'v') ~ 'abc'|join('.') ~ d|join
l|attr('count') is defined ~ d|attr('b') is defined ~ d|attr('zz') is undefined
(1, 2)[0] ~ (1, 2)|list ~ ((1, 2), 3) ~ (1,) ~ () ~ 'a' 'b'
l.0 ~ r.0.k ~ 'ab'.1
1_000 ~ 0x1F ~ 0b11 ~ 0o17 ~ 1e3 ~ 1.5E-3 ~ 00
"\u00e9\x41\101\q\é\a" ~ '\'' ~ "a\
b"
n.real ~ n.bit_length() ~ x.is_integer() ~ l.count(1) ~ l.index(2) ~ (1, 2, 1).count(1) ~ n.zz is defined
"""

STATEMENTS = [
    "{% for i in range(5) %}a{% if i == 1 %}{% continue %}{% endif %}b{{ i }}{% if i == 3 %}{% break %}{% endif %}c{% endfor %}",
    "{% for i in [1, 2] %}{% continue %}{% else %}else{% endfor %}|{% for i in [1] %}{% break %}{% else %}else{% endfor %}|{% for i in [] %}{% else %}else{% endfor %}",
    "{% for i in l if i > 1 %}{{ i }}{{ loop.index }}{{ loop.length }}{% endfor %}|{% for k, v in d.items() if v != 2 %}{{ k }}{{ v }}{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}{% set p, q = 1, 2 %}{{ p }}{{ q }}",
    "{% for a, b in [(1, 2, 3)] %}{% endfor %}",
    "{% for i in 5 %}{% endfor %}",
    "{% for i in none %}{% endfor %}",
    "{% for i in undefinedname %}x{% else %}none{% endfor %}",
    "{% for c in u %}{{ c }}.{% endfor %}{% for k in d %}{{ k }}{% endfor %}",
    "{% set z = 1 %}{% for i in l %}{% set z = z + i %}{{ z }}{% endfor %}{{ z }}",
    "{% for i in l %}{% if loop.first %}{% set q = i %}{% endif %}{{ q }}|{% endfor %}{{ q }}",
    "{% for i in l %}{{ n }}{% endfor %}{% set n = 9 %}{{ n }}",
    "{{ n }}{% for i in l %}{{ n }}{% endfor %}{% set n = 9 %}{{ n }}",
    "{% if t %}{% set z = 1 %}{% endif %}{{ z }}{% if not t %}{% set s = 1 %}{% endif %}{{ s }}",
    "{% set ns = namespace(x=0) %}{% for i in l %}{% set ns.x = ns.x + i %}{% endfor %}{{ ns.x }}{{ ns.y is defined }}",
    "{% set d.x = 1 %}", "{% set ns = namespace() %}{% set ns._x = 1 %}", "{% set true = 1 %}", "{% set loop = 1 %}{{ loop }}",
    "{% for i in l %}{% set loop = 1 %}{{ loop }}{% endfor %}",
    "{% macro f(a, b=a ~ '!', c=none) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(1) }}{{ f(1, 2) }}{{ f(b=3, a=4) }}{{ f() }}{{ f.name }}{{ f.arguments }}{{ f }}",
    "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}", "{% macro f(a) %}{{ a }}{% endmacro %}{{ f(z=2) }}",
    "{% macro f() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ f(1, 2, x=3) }}",
    "{% macro f() %}{{ z }}{% endmacro %}{% set z = 5 %}{{ f() }}{% for z in l %}{{ f() }}{% endfor %}",
    "{% macro f(k) %}{% if k %}{{ k }}{{ f(k - 1) }}{% endif %}{% endmacro %}{{ f(5) }}",
    "{% macro f() %}[{{ caller('x') }}]{% endmacro %}{% call(a) f() %}{{ a }}{{ n }}{% endcall %}",
    "{% macro f() %}{{ caller() }}{% endmacro %}{{ f() }}", "{% call f() %}{% endcall %}",
    "{% set b %} x {{ n }} {% endset %}[{{ b }}]{% set c | trim | upper %} y {% endset %}[{{ c }}]",
    "{% with a = 1, b = n %}{{ a }}{{ b }}{% set n = 0 %}{{ n }}{% endwith %}{{ n }}{{ a }}",
    "{% filter upper | replace('A', 'b') %}abc{{ n }}{% endfilter %}",
    "{% generation %}x{% set n = 1 %}{{ n }}{% endgeneration %}{{ n }}",
    "{% for i in l %}{% generation %}{% continue %}{% endgeneration %}{% endfor %}", "{% break %}",
    "{% for i in [[1, [2]], 3] recursive %}{{ loop.depth }}{% if i is iterable %}({{ loop(i) }}){% else %}{{ i }}{% endif %}{% endfor %}",
    "{% for i in l %}{{ loop(l) }}{% endfor %}",
    "{% for i in 'abc' %}{{ loop.index0 }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.cycle(1, 2) }}{{ loop.nextitem }}{{ loop.previtem }}{{ loop }}{% endfor %}",
    "{% for i in w | map('lower') %}{{ i }}{{ loop.last }}{{ loop.length }}{% endfor %}{% set g = w | map('lower') %}{{ g | list }}{{ g | list }}",
    "{% if 0 %}a{% elif '' %}b{% elif n %}c{% else %}d{% endif %}{% if n is defined and n > 5 or zz %}y{% endif %}",
    "{% raw %}{{ x }}{% endraw %}|{% raw -%}  a {%- endraw %} |{%- raw %} b {% endraw -%}  c",
    "a\n  {% if t %}\n  b\n  {% endif %}\nc\n", "a\n  {%- if t -%}\n  b\n  {%- endif -%}\nc\n\n", "a\n  {%+ if t +%}\n  b\n  {%+ endif %}\nc",
    "  {# c #}\n a {# c -#}  \n b\n{#- c #}\n", "{{ 1 }}\n{{- 2 -}}\n 3 {{+ 4 }}", "\r\na\r{% if t %}\r\nb{% endif %}\r\n", "{{ 'a\r\nb' }}",
    "{{ 1 }", "{{", "{% if t %}", "{% endif %}", "{% foo %}", "{# a", "{{ 'a }}", "{{ (1 }}", "{{ 1 ) }}", "{{ }}", "{{ 1 2 }}", "{{ a b }}", "{{ ! }}", "{% raw %}", "{% set x %}", "{{ f(a=1, 2) }}", "{{ 1 if }}", "{{ {1} }}", "{{ x.}}", "{% for %}", "{{ é }}", "{{ -1 ** 2 }}{{ -x|abs }}{{ not t == false }}{{ 2 ** 3 ** 2 }}", "{{ [1, 2,] }}{{ {'a': 1,} }}{{ (1, 2,) }}{{ dict(a=1,) }}", "{{ 1 -}} x {{- 2 }}{{-3}}",
    "{{ n ~ 1 + 2 * 3 }}{{ 'a' ~ 'b' * 2 }}{{ 1 + 1 ~ 1 }}", "{{ n is string or true }}{{ not n is string }}{{ n if t else s | upper }}{{ 'a' in s | lower }}",
    "{% set x = 1, 2 %}{{ x }}{% print n, 's' %}", "{% if n: %}x{% endif %}", "{{ foo.bar if foo is defined else 'no' }}",
]


class Day(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26, tzinfo=tz)


def render(template: str, variables: dict):
    try:
        text = chat_template_utils._compile_jinja_template(template).render(**json.loads(json.dumps(variables)))
        text.encode("utf-8")
        return text
    except Exception:
        return None


def main(out: str) -> None:
    chat_template_utils.datetime = Day
    lines = EXPRESSIONS.strip("\n").replace("\\\nb", "\\\0b").split("\n")
    snippets = ["{{ " + line.replace("\0", "\n") + " }}" for line in lines] + STATEMENTS
    made = {
        "source": f"jinja2 {version('jinja2')}, transformers {version('transformers')}",
        "templates": TEMPLATES,
        "conversations": CONVERSATIONS,
        "cases": {name: [render(text, c) for c in CONVERSATIONS] for name, text in TEMPLATES.items()},
        "variables": VARIABLES,
        "lines": [[text, render(text, VARIABLES)] for text in snippets],
    }
    with open(out, "w", encoding="utf-8") as file:
        json.dump(made, file, ensure_ascii=True, indent=0)
        file.write("\n")


if __name__ == "__main__":
    main(sys.argv[1])
