"""The languages of the pages: which one a request prefers, and the Chinese texts.

The templates and `Text` have the English texts. `CHINESE` has every text once more; a test finds
each one that is missing. In a text, `%(name)s` is replaced, and the rest is HTML.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Language = Literal["en", "zh-CN"]
"""A language of the pages, as their `lang` says it."""

# A longer list of languages is not read to its end.
_LONGEST: Final = 1000


@dataclass(frozen=True, slots=True)
class Text:
    """A text that a page shows in its language, with the values that it names, not escaped yet."""

    message: str
    values: Mapping[str, str | int] = field(default_factory=dict)


def preferred(ui_locales: str | None, accept_language: str | None) -> Language:
    """Return the language of the pages for a request.

    `ui_locales` is the parameter of the client (OpenID Connect Core 1.0 section 3.1.2.1), and comes
    first. `accept_language` is the header of the browser (RFC 9110 section 12.5.4). A language that
    the pages do not have is skipped, and English is the default.
    """
    if not ui_locales and not accept_language:
        return "en"
    from werkzeug.datastructures import LanguageAccept  # only for pages
    from werkzeug.http import parse_accept_header

    named = LanguageAccept([(tag, 1) for tag in (ui_locales or "")[:_LONGEST].split()[:20]])
    accepted = parse_accept_header((accept_language or "")[:_LONGEST], LanguageAccept)
    for languages in (named, accepted):
        for tag, quality in languages:
            primary = tag.lower().partition("-")[0]
            if quality > 0 and primary in ("en", "zh"):
                return "zh-CN" if primary == "zh" else "en"
    return "en"


def translated(language: Language, message: str) -> str:
    """Return a text in a language; the English one if it has no other, such as a dialect's own."""
    return message if language == "en" else CHINESE.get(message, message)


CHINESE: Final[Mapping[str, str]] = {
    # The pages of a login, of a logout, and of a device
    "<strong>This is a fake for tests.</strong> Anyone can log in as any user.": (
        "<strong>这是测试用的模拟服务器。</strong>任何人都可以用任何用户的身份登录。"
    ),
    "Log in": "登录",
    "to %(client)s": "应用：%(client)s",
    "It asks for:": "该应用请求以下授权：",
    "<strong>%(name)s</strong> (<code>%(client_id)s</code>)": (
        "<strong>%(name)s</strong>（<code>%(client_id)s</code>）"
    ),
    "<code>%(scope)s</code> – %(meaning)s": "<code>%(scope)s</code>：%(meaning)s",
    "your user ID": "你的用户 ID",
    "your name and the rest of your profile": "你的姓名和其他个人资料",
    "your email address": "你的邮箱地址",
    "your postal address": "你的通信地址",
    "your phone number": "你的手机号",
    "access while you are away, with a refresh token": "你不在时也能访问（通过刷新令牌）",
    "Pick a user": "选择用户",
    "Find a user": "查找用户",
    "Find": "查找",
    "No user matches.": "没有匹配的用户。",
    "%(count)s more users match. Search for one.": (
        "还有 %(count)s 个匹配的用户，请通过查找缩小范围。"
    ),
    "frozen": "已冻结",
    "locked": "已锁定",
    "Or use a password": "或使用密码登录",
    "Use a password": "使用密码登录",
    "Username, phone or email": "用户名、手机号或邮箱",
    "Password": "密码",
    "Deny": "拒绝",
    "Choose a user": "请选择一个用户",
    "Wrong username or password": "用户名或密码错误",
    "No such user": "用户不存在",
    "Abnormal user status": "用户状态异常",
    "The user is not allowed to log in": "该用户不允许登录",
    "This login is over": "本次登录已失效",
    "It was completed, took too long, or began in another browser, or the server was reset. Go "
    "back to the application and start again.": (
        "本次登录已完成、已超时、是在另一个浏览器中发起的，或者服务器已重置。请返回应用重新登录。"
    ),
    "Log out": "退出登录",
    "An application asks to log out <code>%(user)s</code>.": (
        "有应用请求让 <code>%(user)s</code> 退出登录。"
    ),
    "%(client)s asks to log out <code>%(user)s</code>.": (
        "应用 %(client)s 请求让 <code>%(user)s</code> 退出登录。"
    ),
    "To stay logged in, close this page.": "如要保持登录，请关闭此页面。",
    "You are logged out": "你已退出登录",
    "You can close this page.": "可以关闭此页面了。",
    "The server ignored <code>post_logout_redirect_uri</code>, because the request names no "
    "client. Send <code>client_id</code> or <code>id_token_hint</code> with it.": (
        "请求没有指明应用，因此服务器忽略了 <code>post_logout_redirect_uri</code>。请同时发送 "
        "<code>client_id</code> 或 <code>id_token_hint</code>。"
    ),
    "Connect a device": "连接设备",
    "Enter the code that your device shows.": "请输入设备上显示的代码。",
    "Code": "代码",
    "Continue": "继续",
    "This code is unknown, used, or expired": "该代码不存在、已使用或已过期",
    "Allow it only if your device shows <code>%(code)s</code>.": (
        "请确认设备上显示的是 <code>%(code)s</code>，再授权。"
    ),
    "Allow as %(user)s": "以 %(user)s 的身份授权",
    "The device is connected": "设备已连接",
    "The device was denied": "已拒绝该设备",
    "You can close this page, and go back to your device.": (
        "可以关闭此页面，回到设备上继续操作了。"
    ),
    "Back to the application": "返回应用",
    "This browser runs no scripts.": "此浏览器未启用脚本。",
    "Go on to the application": "继续前往应用",
    # Errors
    'The reason in the journal: <code lang="en">%(reason)s</code>': (
        '请求日志里的原因：<code lang="en">%(reason)s</code>'
    ),
    "This request in the console": "在控制台中查看此请求",
    "Sent": "发送的值",
    "The nearest one": "最接近的值",
    "Why they do not match": "不匹配的原因",
    "What to do": "如何处理",
    "What a program gets": "程序收到的响应",
    "What this server is": "关于此服务器",
    "None.": "无。",
    "<code>%(parameter)s</code> was sent %(times)s times": (
        "<code>%(parameter)s</code> 重复发送了 %(times)s 次"
    ),
    "Send <code>%(parameter)s</code> once.": "<code>%(parameter)s</code> 只能发送一次。",
    "The <code>client_id</code> is missing": "缺少 <code>client_id</code>",
    "Send the <code>client_id</code> of a registered client.": (
        "请发送已登记的应用的 <code>client_id</code>。"
    ),
    "The clients that are registered here": "此服务器上登记的应用",
    "The client <code>%(client_id)s</code> is disabled": "应用 <code>%(client_id)s</code> 已停用",
    "Remove <code>enabled = false</code> from the client in the settings.": (
        "请在配置中删除该应用的 <code>enabled = false</code>。"
    ),
    "The ID token is of another client than <code>%(client_id)s</code>": (
        "ID Token 不是签发给应用 <code>%(client_id)s</code> 的"
    ),
    "Send an <code>id_token_hint</code> that this client received, or omit it.": (
        "请发送该应用收到的 <code>id_token_hint</code>，或省略此参数。"
    ),
    "The client <code>%(client_id)s</code> is unknown": "应用 <code>%(client_id)s</code> 不存在",
    "Correct the <code>client_id</code> in the application.": (
        "请更正应用中的 <code>client_id</code>。"
    ),
    "Or register the client here: add a <code>[[clients]]</code> table to the settings, or "
    "another <code>Client</code> in Python.": (
        "或者在此服务器上登记该应用：在配置文件中添加 <code>[[clients]]</code>，或在 "
        "Python 中添加 <code>Client</code>。"
    ),
    "The redirect URI is not registered": "回调地址没有登记",
    "The post-logout redirect URI is not registered": "退出回调地址没有登记",
    "The <code>%(parameter)s</code> is missing": "缺少 <code>%(parameter)s</code>",
    "Registered for the client <code>%(client_id)s</code>": (
        "应用 <code>%(client_id)s</code> 已登记的回调地址"
    ),
    "Send one of the registered URIs as <code>%(parameter)s</code>.": (
        "请把 <code>%(parameter)s</code> 改成一个已登记的回调地址。"
    ),
    "Or add it to <code>%(field)s</code> of the client <code>%(client_id)s</code> in the "
    "settings.": (
        "或者在配置中把它添加到应用 <code>%(client_id)s</code> 的 <code>%(field)s</code>。"
    ),
    "URIs are compared character by character.": "回调地址必须逐个字符完全一致。",
    "URIs are compared character by character. Only those with <code>http://127.0.0.1</code> or "
    "<code>http://[::1]</code> match on any port, and with <code>localhost</code> if the settings "
    "have <code>accept_localhost_on_any_port</code>.": (
        "回调地址必须逐个字符完全一致。只有 <code>http://127.0.0.1</code> 和 "
        "<code>http://[::1]</code> 可以使用任意端口；如果配置了 "
        "<code>accept_localhost_on_any_port</code>，<code>localhost</code> 也可以。"
    ),
    "There is a space or a line break at an end of it.": "开头或结尾有空格或换行。",
    "It is percent-encoded twice.": "被百分号编码了两次。",
    "It is not a URL.": "不是有效的 URL。",
    "It differs in upper and lower case.": "大小写不同。",
    "It differs only in characters that are hard to see.": "只有不易察觉的字符不同。",
    "The scheme is <code>%(sent)s</code>, not <code>%(known)s</code>.": (
        "协议是 <code>%(sent)s</code>，而不是 <code>%(known)s</code>。"
    ),
    "The host is <code>%(sent)s</code>, not <code>%(known)s</code>.": (
        "主机是 <code>%(sent)s</code>，而不是 <code>%(known)s</code>。"
    ),
    "The port is <code>%(sent)s</code>, not <code>%(known)s</code>.": (
        "端口是 <code>%(sent)s</code>，而不是 <code>%(known)s</code>。"
    ),
    "It has a trailing slash.": "末尾多了一个斜杠。",
    "The trailing slash is missing.": "末尾少了一个斜杠。",
    "The path differs in upper and lower case.": "路径的大小写不同。",
    "The path differs.": "路径不同。",
    "The query differs.": "查询参数不同。",
    "It has a fragment, which a redirect URI cannot have.": (
        "带有片段（<code>#</code> 之后的部分），而回调地址不能有片段。"
    ),
    "The <code>id_token_hint</code> cannot be used": "<code>id_token_hint</code> 无法使用",
    "Send an ID token that this server issued. It can have expired. An access token, or an "
    "ID token from before a restart with another issuer, is refused.": (
        "请发送此服务器签发的 ID Token，已过期的也可以。Access Token，以及服务器更换 "
        "issuer 之前签发的 ID Token 会被拒绝。"
    ),
    "The <code>response_type</code> is not <code>code</code>": (
        "<code>response_type</code> 不是 <code>code</code>"
    ),
    "Send <code>response_type=code</code>. The implicit and hybrid flows are not served.": (
        "请发送 <code>response_type=code</code>。此服务器不支持隐式模式和混合模式。"
    ),
    "This <code>request_uri</code> cannot be used": "此 <code>request_uri</code> 无法使用",
    "Push the request again. A <code>request_uri</code> can be used once, within "
    "%(seconds)s seconds, and by the client that pushed it.": (
        "请重新推送请求。<code>request_uri</code> 只能由推送它的应用在 %(seconds)s 秒内使用一次。"
    ),
    "The document of the client cannot be used": "应用的元数据文档无法使用",
    "The <code>client_id</code> is a URL, so the server reads the client's metadata there. "
    "Correct the document, or give it in <code>client_documents</code> of the settings.": (
        "<code>client_id</code> 是一个 URL，服务器会从该地址读取应用的元数据。请更正该文档"
        "，或在配置的 <code>client_documents</code> 中提供文档。"
    ),
    "There is nothing at <code>%(path)s</code>": "<code>%(path)s</code> 不存在",
    "The paths that are served": "此服务器提供的路径",
    "An access token is needed here": "此地址需要 Access Token",
    "A client calls this address with <code>Authorization: Bearer …</code>. A browser that "
    "opens it sends no access token.": (
        "应用调用此地址时会带上 <code>Authorization: Bearer …</code>。用浏览器直接打开时不"
        "会发送 Access Token。"
    ),
    "The method <code>%(method)s</code> is not allowed here": (
        "此地址不接受 <code>%(method)s</code> 请求"
    ),
    "This address is for programs: a client sends <code>%(allowed)s</code>. A browser that "
    "opens it sends <code>GET</code>.": (
        "此地址供程序调用：应用发送的是 <code>%(allowed)s</code> 请求，而用浏览器打开时发送"
        "的是 <code>GET</code> 请求。"
    ),
    "The request was refused": "请求被拒绝",
    "Correct the request in the application, and start again there.": (
        "请更正应用发出的请求，然后在应用中重新开始。"
    ),
    # The page at the root
    "A fake OAuth server": "模拟 OAuth 服务器",
    "A fake OAuth 2.0 / OpenID Connect server": "模拟 OAuth 2.0 / OpenID Connect 服务器",
    "It issues signed tokens and refuses requests as a real server does. Its private keys "
    "are public: its tokens prove nothing.": (
        "它像真实的服务器一样签发带签名的 Token，拒绝有误的请求。它的私钥是公开的，所以它签发"
        "的 Token 证明不了任何身份。"
    ),
    "Issuer": "签发者（Issuer）",
    "Dialect": "方言（dialect）",
    "Clock": "时钟",
    "Where to go": "从这里开始",
    "%(now)s UTC (frozen)": "%(now)s UTC（已停住）",
    '<a href="%(link)s">The console</a>: watch requests, script faults, and move the clock': (
        '<a href="%(link)s">控制台</a>：查看请求、注入故障、拨动时钟'
    ),
    '<a href="%(link)s"><code>%(path)s</code></a>: the public keys': (
        '<a href="%(link)s"><code>%(path)s</code></a>：公钥'
    ),
    '<a href="%(link)s"><code>%(path)s</code></a>: the metadata, for the configuration of a '
    "client": '<a href="%(link)s"><code>%(path)s</code></a>：服务器的配置信息，供应用读取',
    "The manual is in <code>README.md</code> and <code>docs/</code> of the project. "
    "<code>fake-oauth --help</code> lists the commands.": (
        "使用手册见项目中的 <code>README.zh.md</code> 和 <code>docs/zh/</code>。运行 <code>"
        "fake-oauth --help</code> 可查看所有命令。"
    ),
    "Log in here": "试一试登录",
    "No client can log in here: add <code>redirect_uris</code> to one in the settings.": (
        "没有可以登录的应用：请在配置中为应用添加 <code>redirect_uris</code>。"
    ),
    "Send the browser to the authorization endpoint. For the client <code>%(client_id)s</code>:": (
        "让浏览器打开授权接口的地址，例如应用 <code>%(client_id)s</code>："
    ),
    "The client then sends the code to the token endpoint, <code>%(token_path)s</code>.": (
        "登录后，应用用授权码请求 <code>%(token_path)s</code>，换取 Token。"
    ),
    "The client then sends the code with <code>code_verifier=%(verifier)s</code> to the "
    "token endpoint, <code>%(token_path)s</code>.": (
        "登录后，应用用授权码和 <code>code_verifier=%(verifier)s</code> 请求 "
        "<code>%(token_path)s</code>，换取 Token。"
    ),
    "The example ends at the application's redirect URI. The application may refuse it there, "
    "because it did not start this login.": (
        "示例登录最后会回到应用的回调地址。应用可能会拒绝这次登录，因为它不是由应用发起的。"
    ),
    "Endpoints": "接口",
    "Clients": "应用",
    "Users": "用户",
    "%(client)s (public)": (
        "%(client)s：没有 <code>client_secret</code> 的应用（单页应用、移动 App）"
    ),
    "%(client)s (public, disabled)": (
        "%(client)s：没有 <code>client_secret</code> 的应用（单页应用、移动 App），已停用"
    ),
    "%(client)s (confidential)": "%(client)s：有 <code>client_secret</code> 的应用（Web 应用）",
    "%(client)s (confidential, disabled)": (
        "%(client)s：有 <code>client_secret</code> 的应用（Web 应用），已停用"
    ),
    "<code>%(name)s</code> (%(sub)s)": "<code>%(name)s</code>（%(sub)s）",
    "%(user)s, frozen": "%(user)s，已冻结",
    "%(user)s, locked": "%(user)s，已锁定",
    "and %(count)s more": "还有 %(count)s 个",
    # What the endpoints do: the summaries of ENDPOINTS
    "Issue tokens (RFC 6749 section 3.2)": "签发 Token（RFC 6749 第 3.2 节）",
    "Redirect with an authorization code, after a login (RFC 6749 section 3.1)": (
        "登录后带着授权码重定向（RFC 6749 第 3.1 节）"
    ),
    "Show the login page": "显示登录页",
    "Return the claims of a user (OpenID Connect Core 1.0 section 5.3)": (
        "返回用户信息（OpenID Connect Core 1.0 第 5.3 节）"
    ),
    "Revoke a token (RFC 7009)": "注销 Token（RFC 7009）",
    "Register a client (RFC 7591 section 3)": "注册应用（RFC 7591 第 3 节）",
    "Send a one-time password (CIAM 1441/67151)": "发送 OTP 验证码（CIAM 1441/67151）",
    "End the session of a browser (CIAM 1441/64393)": "退出登录（CIAM 1441/64393）",
    "End the session of a browser (OpenID Connect RP-Initiated Logout 1.0)": (
        "退出登录（OpenID Connect RP-Initiated Logout 1.0）"
    ),
    "Say whether a token is active (RFC 7662)": "查询 Token 是否有效（RFC 7662）",
    "Issue a device code and a user code (RFC 8628 section 3.1)": (
        "签发设备码和用户码（RFC 8628 第 3.1 节）"
    ),
    "Show the page on which a user allows a device (RFC 8628 section 3.3)": (
        "显示用户为设备授权的页面（RFC 8628 第 3.3 节）"
    ),
    "Keep an authorization request, and return a request_uri for it (RFC 9126)": (
        "保存授权请求，并返回 request_uri（RFC 9126）"
    ),
    "Return the public keys (RFC 7517)": "返回公钥（RFC 7517）",
    "Return the discovery document (OpenID Connect Discovery 1.0)": (
        "返回 OpenID Provider 配置信息（OpenID Connect Discovery 1.0）"
    ),
    "Return the authorization server metadata (RFC 8414)": "返回授权服务器的元数据（RFC 8414）",
    "Stand in for an API that requires an access token (RFC 6750)": (
        "示例 API，需要 Access Token 才能访问（RFC 6750）"
    ),
    "Return the metadata of a protected resource (RFC 9728)": "返回受保护资源的元数据（RFC 9728）",
}
